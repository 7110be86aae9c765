//! Access tokens, refresh tokens and authorization codes, numbered by seed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::org::id::RecordId;

/// A session ends after so long without a call.
const IDLE_MS: i64 = 2 * 3_600_000;

/// All that is signed in.
pub(crate) struct Sessions {
    seed: u64,
    org_id: RecordId,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    issued: u64,
    access: HashMap<String, (RecordId, i64)>,
    refresh: HashMap<String, RecordId>,
    codes: HashMap<String, Code>,
}

/// What an authorization code was given for.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
    pub(crate) user: RecordId,
}

impl Sessions {
    pub(crate) fn new(seed: u64, org_id: RecordId) -> Self {
        Self { seed, org_id, entries: Mutex::default() }
    }

    /// A new access token for `user`.
    pub(crate) fn open(&self, user: RecordId, now_ms: i64) -> String {
        let mut entries = self.lock();
        let token = format!("{}!{}", self.org_id.as_15(), self.secret(&mut entries, "access"));
        entries.access.retain(|_, (_, used)| now_ms - *used < IDLE_MS);
        entries.access.insert(token.clone(), (user, now_ms));
        token
    }

    /// Whose token it is; using it keeps it alive.
    pub(crate) fn user(&self, token: &str, now_ms: i64) -> Option<RecordId> {
        let mut entries = self.lock();
        let (user, used) = entries.access.get_mut(token)?;
        if now_ms - *used >= IDLE_MS {
            return None;
        }
        *used = now_ms;
        Some(*user)
    }

    /// Ends an access or refresh token; whether there was one.
    pub(crate) fn revoke(&self, token: &str) -> bool {
        let mut entries = self.lock();
        entries.access.remove(token).is_some() | entries.refresh.remove(token).is_some()
    }

    /// Ends all access tokens.
    pub(crate) fn revoke_all(&self) {
        self.lock().access.clear();
    }

    pub(crate) fn refresh_token(&self, user: RecordId) -> String {
        let mut entries = self.lock();
        let token = format!("5Aep{}", self.secret(&mut entries, "refresh"));
        entries.refresh.insert(token.clone(), user);
        token
    }

    pub(crate) fn refreshed(&self, token: &str) -> Option<RecordId> {
        self.lock().refresh.get(token).copied()
    }

    pub(crate) fn code(&self, code: Code) -> String {
        let mut entries = self.lock();
        let text = self.secret(&mut entries, "code");
        entries.codes.insert(text.clone(), code);
        text
    }

    /// A code works once.
    pub(crate) fn redeem(&self, code: &str) -> Option<Code> {
        self.lock().codes.remove(code)
    }

    fn secret(&self, entries: &mut Entries, purpose: &str) -> String {
        entries.issued += 1;
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{}/{purpose}/{}", self.seed, entries.issued)))
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
