//! The client program that reads a schema: finds `pg_dump`, runs it, and hears what it says.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use miette::Diagnostic;
use tokio::process::Command;

use crate::{SslMode, Url, options_with};

/// Why there is no dump.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum DumpError {
    /// No `pg_dump` that is new enough.
    #[error("no pg_dump of Postgres {wanted} or newer: {found}")]
    #[diagnostic(
        code(postgres::no_pg_dump),
        help(
            "install the client programs (Debian: apt-get install postgresql-client-{wanted}), or name their folder: source.postgres.snapshot.schema.pgdump_pgrestore.bin_directory"
        )
    )]
    Missing {
        /// The major version of the server.
        wanted: u32,
        /// What there is.
        found: String,
    },
    /// It ended with an error.
    #[error("pg_dump: {reason}")]
    #[diagnostic(
        code(postgres::pg_dump),
        help("the role of the source URL must be able to read every schema")
    )]
    Failed {
        /// What it said.
        reason: String,
    },
    /// It made something else.
    #[error(transparent)]
    #[diagnostic(code(postgres::archive), help("use the pg_dump of a version from 14 to 18"))]
    Archive(#[from] crate::archive::Unreadable),
}

/// A `pg_dump` that can read a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgDump {
    path: PathBuf,
}

/// How a schema is read.
#[derive(Clone, Debug, Default)]
pub struct DumpOptions {
    /// The name of an exported snapshot.
    pub snapshot: Option<String>,
    /// The role that reads.
    pub role: Option<String>,
    /// Schemas that are left out.
    pub without_schemas: Vec<String>,
}

impl PgDump {
    /// The one of the lowest version that can read a server of that major: in `folder`, or where programs usually are.
    ///
    /// # Errors
    /// [`DumpError::Missing`].
    pub async fn find(folder: Option<&Path>, major: u32) -> Result<Self, DumpError> {
        let folders = folder.map_or_else(usual_folders, |folder| vec![folder.to_owned()]);
        let mut found = Vec::new();
        for path in folders.into_iter().map(|folder| folder.join("pg_dump")).filter(|path| path.is_file()) {
            if let Some(version) = version(&path).await {
                found.push((version, path));
            }
        }
        found.sort();
        let best = found.iter().find(|(version, _)| *version >= major).map(|(_, path)| path.clone());
        best.map(|path| Self { path }).ok_or_else(|| {
            let versions: Vec<String> = found.iter().map(|(version, _)| version.to_string()).collect();
            let found = match (versions.is_empty(), folder) {
                (false, _) => format!("only of {}", versions.join(", ")),
                (true, Some(folder)) => format!("none in {}", folder.display()),
                (true, None) => "none at all".to_owned(),
            };
            DumpError::Missing { wanted: major, found }
        })
    }

    /// The schema of a database as an archive; see [`crate::archive::entries`]. Dropped, it ends.
    ///
    /// # Errors
    /// [`DumpError::Failed`].
    pub async fn schema(&self, url: &Url, options: &DumpOptions) -> Result<Vec<u8>, DumpError> {
        let mut command = Command::new(&self.path);
        command.args(["--format=custom", "--schema-only", "--no-publications", "--no-subscriptions"]);
        command.args(["--no-password", "--lock-wait-timeout=60000", "--encoding=UTF8"]);
        command.args(options.snapshot.iter().map(|name| format!("--snapshot={name}")));
        command.args(options.role.iter().map(|role| format!("--role={role}")));
        command.args(options.without_schemas.iter().map(|schema| format!("--exclude-schema={schema}")));
        for (name, value) in environment(url) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
        let output = output.map_err(|error| DumpError::Failed { reason: error.to_string() })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        // Its messages have names, never rows: of a schema alone it reads none.
        let said = String::from_utf8_lossy(&output.stderr);
        let reason =
            said.lines().map(|line| line.trim_start_matches("pg_dump: ")).collect::<Vec<_>>().join("; ");
        Err(DumpError::Failed { reason: if reason.is_empty() { output.status.to_string() } else { reason } })
    }
}

/// What libpq reads. A password on the command line would be seen by everybody.
fn environment(url: &Url) -> Vec<(&'static str, Option<String>)> {
    let sslmode = match url.sslmode {
        SslMode::Disable => "disable",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    };
    let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let verifies = matches!(url.sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
    vec![
        ("PGHOST", Some(url.host.clone())),
        ("PGPORT", Some(url.port.to_string())),
        ("PGUSER", Some(url.user.clone())),
        ("PGPASSWORD", url.password.clone()),
        ("PGDATABASE", Some(url.database.clone())),
        ("PGSSLMODE", Some(sslmode.to_owned())),
        ("PGSSLROOTCERT", file(&url.root_certificate).or(verifies.then(|| "system".to_owned()))),
        ("PGSSLCERT", file(&url.certificate)),
        ("PGSSLKEY", file(&url.key)),
        ("PGOPTIONS", Some(options_with(url, &[]))),
        ("PGCONNECT_TIMEOUT", Some(url.connect_timeout.as_secs().max(2).to_string())),
        ("PGAPPNAME", Some("pgstream snapshot".to_owned())),
        ("PGSERVICE", None),
        ("LC_ALL", Some("C".to_owned())),
    ]
}

/// Where programs are: the search path, then what packages make for each version.
fn usual_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for (parent, prefix, rest) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/opt/homebrew/opt", "libpq", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ] {
        let inside = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let named = inside.filter(|item| item.file_name().to_string_lossy().starts_with(prefix));
        folders.extend(named.map(|item| item.path().join(rest)));
    }
    folders
}

/// The major in `pg_dump (PostgreSQL) 17.5 (Debian 17.5-1)`.
async fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_once(") ")?.1;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
