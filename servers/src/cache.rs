//! Where fetched and prepared things are kept between runs, and the lock that keeps two processes from preparing
//! the same thing at once.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::user;
use crate::{Error, Result};

/// The directory for fetched and prepared things: `$XDG_CACHE_HOME/concord`, for root `/var/cache/concord` (root's
/// home is closed to the unprivileged user that runs the servers), else `~/.cache/concord`.
#[must_use]
pub fn cache_dir() -> PathBuf {
    if let Some(set) = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        return PathBuf::from(set).join("concord");
    }
    if user::is_root() {
        return PathBuf::from("/var/cache/concord");
    }
    match std::env::var_os("HOME").filter(|value| !value.is_empty()) {
        Some(home) => PathBuf::from(home).join(".cache/concord"),
        None => std::env::temp_dir().join("concord-cache"),
    }
}

/// The cached directory `name`, built by `build` in a scratch directory when it is not there yet. Only one process
/// at a time builds; the others wait for it.
pub(crate) fn cached(name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = cache_dir();
    let ready = root.join(name);
    if ready.is_dir() {
        return Ok(ready);
    }
    fs::create_dir_all(&root).map_err(|source| Error::File { doing: "making the cache directory", path: root.clone(), source })?;
    let lock_path = root.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(|source| Error::File { doing: "making the lock file", path: lock_path.clone(), source })?;
    lock.lock().map_err(|source| Error::File { doing: "locking", path: lock_path.clone(), source })?;
    if ready.is_dir() {
        return Ok(ready);
    }
    let scratch = root.join(format!("{name}.part"));
    if scratch.exists() {
        fs::remove_dir_all(&scratch).map_err(|source| Error::File { doing: "removing an unfinished", path: scratch.clone(), source })?;
    }
    fs::create_dir_all(&scratch).map_err(|source| Error::File { doing: "making", path: scratch.clone(), source })?;
    build(&scratch)?;
    fs::rename(&scratch, &ready).map_err(|source| Error::File { doing: "naming", path: ready.clone(), source })?;
    Ok(ready)
}

/// Tells the person at the terminal what is being fetched: it happens once and may take a minute.
pub(crate) fn announce(text: &str) {
    // Nothing is lost when nobody can read it.
    let _ = writeln!(std::io::stderr().lock(), "concord: {text}");
}
