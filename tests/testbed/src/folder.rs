//! Where the testbed keeps things: a cache that lives on, and a folder for each server that does not.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::account::{self, Account};
use crate::{Error, Result};

/// The cache outside of the checkout, readable by the user that runs the servers.
pub(crate) fn cache() -> Result<PathBuf> {
    let root = if account::is_root() {
        // Root's home is closed to other users.
        PathBuf::from("/var/cache")
    } else if let Some(cache) = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        PathBuf::from(cache)
    } else {
        std::env::home_dir().unwrap_or_else(std::env::temp_dir).join(".cache")
    };
    create_readable(&root.join("pgstream").join("postgres"))
}

/// Makes a folder, and those above it, that everybody may read.
pub(crate) fn create_readable(path: &Path) -> Result<PathBuf> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(Error::file("create", path))?;
    Ok(path.to_path_buf())
}

/// A new, empty folder for one server, owned by its user and closed to all others.
pub(crate) fn for_a_server(account: Account) -> Result<PathBuf> {
    // /var/tmp lies on a disk also where /tmp is in memory. Socket paths must stay short.
    let parent =
        if Path::new("/var/tmp").is_dir() { PathBuf::from("/var/tmp") } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new()
        .prefix("pgstream-testbed-")
        .tempdir_in(&parent)
        .map_err(Error::file("create a folder in", &parent))?
        .keep();
    account.own(&folder)?;
    Ok(folder)
}

/// Holds a lock file as long as the answer lives; waits for another process that has it.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(Error::file("open the lock", path))?;
    file.lock().map_err(Error::file("lock", path))?;
    Ok(file)
}

/// Lets everybody read what is below `path`, whatever the umask was.
pub(crate) fn open_to_all(path: &Path) -> Result<()> {
    let about = std::fs::symlink_metadata(path).map_err(Error::file("read", path))?;
    if about.is_symlink() {
        return Ok(());
    }
    let mode = about.permissions().mode() | if about.is_dir() { 0o755 } else { 0o444 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(Error::file("open up", path))?;
    if about.is_dir() {
        for entry in std::fs::read_dir(path).map_err(Error::file("list", path))? {
            open_to_all(&entry.map_err(Error::file("list", path))?.path())?;
        }
    }
    Ok(())
}
