//! The administrator's password, kept as an argon2 hash and checked away from the async threads.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHashString, PasswordHasher as _, PasswordVerifier as _, SaltString};
use rand::RngCore as _;
use tokio::sync::Semaphore;

use crate::config::{Password, Secret};
use crate::error::{Error, Result};

/// Checks at once; each takes about 20 MB of memory for a moment.
const AT_ONCE: usize = 2;
/// Longer texts are not passwords but an attempt to keep us busy.
const MAX_LENGTH: usize = 1024;

/// Checks passwords.
pub(crate) struct Verifier {
    hash: PasswordHashString,
    at_once: Semaphore,
}

fn wrong(reason: &str) -> Error {
    Error::Config { setting: "admin_password", reason: reason.to_owned() }
}

impl Verifier {
    pub(crate) async fn new(password: Password) -> Result<Self> {
        let hash = match password {
            Password::Hash(hash) => {
                let hash = PasswordHashString::new(hash.reveal()).map_err(|error| wrong(&format!("the hash cannot be read: {error}")))?;
                if !hash.algorithm().as_str().starts_with("argon2") {
                    return Err(wrong("the hash is not an argon2 hash; it must begin with $argon2id$"));
                }
                hash
            }
            Password::Plain(plain) => aside(move || {
                let mut bytes = [0u8; 16];
                rand::rng().fill_bytes(&mut bytes);
                let salt = SaltString::encode_b64(&bytes)?;
                Argon2::default().hash_password(plain.reveal().as_bytes(), &salt).map(|hash| hash.serialize())
            })
            .await?
            .map_err(|error| wrong(&format!("cannot be hashed: {error}")))?,
        };
        Ok(Self { hash, at_once: Semaphore::new(AT_ONCE) })
    }

    /// Whether this is the password.
    pub(crate) async fn check(&self, given: Secret) -> Result<bool> {
        if given.reveal().len() > MAX_LENGTH {
            return Ok(false);
        }
        let _permit = self.at_once.acquire().await.map_err(|_| Error::Busy("The dashboard is stopping."))?;
        let hash = self.hash.clone();
        aside(move || {
            let hash: PasswordHash<'_> = hash.password_hash();
            Argon2::default().verify_password(given.reveal().as_bytes(), &hash).is_ok()
        })
        .await
    }
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Busy("The password could not be checked."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_passes() -> Result<()> {
        let verifier = Verifier::new(Password::Plain(Secret::new("correct horse"))).await?;
        assert!(verifier.check(Secret::new("correct horse")).await?);
        assert!(!verifier.check(Secret::new("correct horse ")).await?);
        assert!(!verifier.check(Secret::new("x".repeat(5000))).await?);
        assert!(Verifier::new(Password::Hash(Secret::new("plain"))).await.is_err());
        Ok(())
    }
}
