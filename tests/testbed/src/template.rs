//! A data directory made once by `initdb` and copied for each server: 0.1 s in place of 2 s.

use std::path::{Path, PathBuf};

use crate::account::{self, Account};
use crate::binaries::{Installation, run};
use crate::{Error, Result, folder};

/// The password of the superuser `postgres` of every server, asked for where [`crate::Auth::Password`] is set.
pub(crate) const PASSWORD: &str = "a password for tests";

/// Copies a fresh data directory of this version to `data`, which must not exist.
pub(crate) fn copy_to(data: &Path, installation: &Installation, account: Account) -> Result<()> {
    let template = ready(installation, account)?;
    run(account.command("cp").arg("-a").arg(&template).arg(data))
}

fn ready(installation: &Installation, account: Account) -> Result<PathBuf> {
    let cache = folder::cache()?;
    // An installed and a downloaded server of one version may differ in build options, so each has its own.
    let origin = if installation.programs.starts_with(&cache) { "package" } else { "installed" };
    let user = if account::is_root() { "other" } else { "own" };
    let name = format!("data-{}-{origin}-{user}", installation.version);
    let template = cache.join(&name);
    if template.is_dir() {
        return Ok(template);
    }
    let _held = folder::lock(&cache.join(format!("{name}.lock")))?;
    if template.is_dir() {
        return Ok(template);
    }

    let work = folder::for_a_server(account)?;
    let made = make(&work, installation, account).and_then(|data| {
        // Copied beside and then renamed: a run that is interrupted leaves nothing that looks whole.
        let beside = cache.join(format!("{name}.part"));
        if beside.exists() {
            std::fs::remove_dir_all(&beside).map_err(Error::file("remove", &beside))?;
        }
        run(std::process::Command::new("cp").arg("-a").arg(&data).arg(&beside))?;
        std::fs::rename(&beside, &template).map_err(Error::file("rename to", &template))
    });
    std::fs::remove_dir_all(&work).map_err(Error::file("remove", &work))?;
    made.map(|()| template)
}

fn make(work: &Path, installation: &Installation, account: Account) -> Result<PathBuf> {
    let data = work.join("data");
    let password = work.join("password");
    std::fs::write(&password, PASSWORD).map_err(Error::file("write", &password))?;
    account.own(&password)?;
    run(account
        .command(installation.programs.join("initdb"))
        .arg("--pgdata")
        .arg(&data)
        .arg("--pwfile")
        .arg(&password)
        // C and UTF8 are everywhere the same, whatever locales a machine has.
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]))?;
    Ok(data)
}
