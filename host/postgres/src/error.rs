//! What can go wrong between us and a server, classed by what to do about it.

use miette::Diagnostic;
use tokio_postgres::error::SqlState;

/// The SQLSTATE of a disk without room.
pub const DISK_FULL: &str = "53100";

/// What an SQLSTATE asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same work may succeed on the same connection: serialization failure, deadlock, lock not available.
    RetryTransaction,
    /// The connection or server is gone or going: connect again.
    Reconnect,
    /// The row is the reason: bad value, broken constraint.
    Row,
    /// Everything else: nothing will change without a person.
    Stop,
}

/// The class of an SQLSTATE; see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
#[must_use]
pub fn class_of(code: &SqlState) -> Class {
    let text = code.code();
    match text {
        "40001" | "40P01" | "55P03" => Class::RetryTransaction,
        // Shutdown, crash of another backend, starting up, idle time-outs, too many connections.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300" => Class::Reconnect,
        _ if text.starts_with("08") => Class::Reconnect,
        _ if text.starts_with("22") || text.starts_with("23") => Class::Row,
        _ => Class::Stop,
    }
}

/// A server's error as text that cannot hold a value.
///
/// The messages of classes 22 (data exception) and 23 (constraint) quote the value, as the detail of any
/// message may; those are told by code and by the names of what was violated.
#[must_use]
pub fn describe(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        return chain(error);
    };
    let code = db.code().code();
    if class_of(db.code()) != Class::Row {
        return format!("{} (SQLSTATE {code})", db.message());
    }
    let mut text = format!("{} (SQLSTATE {code})", condition(code));
    for (what, name) in [
        ("constraint", db.constraint()),
        ("table", db.table()),
        ("column", db.column()),
        ("type", db.datatype()),
    ] {
        if let Some(name) = name {
            text.push_str(&format!(", {what} `{name}`"));
        }
    }
    text
}

/// The name of a row-class condition.
fn condition(code: &str) -> &'static str {
    match code {
        "22001" => "value too long for the column",
        "22003" => "number out of range",
        "22007" => "invalid date or time",
        "22008" => "date or time out of range",
        "22021" => "character not in the database's encoding",
        "22P02" => "invalid text for the column's type",
        "22P03" => "invalid binary form",
        "23502" => "null in a column that is NOT NULL",
        "23503" => "foreign key violated",
        "23505" => "duplicate key",
        "23514" => "check constraint violated",
        "23P01" => "exclusion constraint violated",
        _ if code.starts_with("23") => "constraint violated",
        _ => "value not accepted",
    }
}

/// The text of an error with its sources: tokio-postgres keeps the reason in the source.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Why a server could not be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// No connection.
    #[error("cannot connect to {url}: {reason}")]
    #[diagnostic(
        code(postgres::unreachable),
        help("check that the server runs and that host, port and sslmode of the URL are right")
    )]
    Unreachable {
        /// The address without its password.
        url: String,
        /// What the network or server said.
        reason: String,
    },
    /// The server turned the role away.
    #[error("{url} refuses the login: {reason}")]
    #[diagnostic(
        code(postgres::login),
        help("check user, password and database of the URL, and pg_hba.conf of the server")
    )]
    Login {
        /// The address without its password.
        url: String,
        /// What the server said.
        reason: String,
    },
    /// A database of that name does not exist.
    #[error("{url}: the database does not exist")]
    #[diagnostic(code(postgres::no_database), help("create it, or correct the end of the URL"))]
    NoDatabase {
        /// The address without its password.
        url: String,
    },
    /// TLS could not be set up.
    #[error("TLS to {url}: {reason}")]
    #[diagnostic(code(postgres::tls), help("check sslmode, sslrootcert, sslcert and sslkey of the URL"))]
    Tls {
        /// The address without its password.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The connection ended while it was in use.
    #[error("connection to the server lost: {reason}")]
    #[diagnostic(
        code(postgres::lost),
        help("it is tried again by itself; look at the server's log if it goes on")
    )]
    Lost {
        /// What the network or server said.
        reason: String,
    },
    /// A role lacks a right.
    #[error("{what}: permission denied ({reason})")]
    #[diagnostic(code(postgres::permission), help("{remedy}"))]
    Permission {
        /// What was tried.
        what: String,
        /// What the server said.
        reason: String,
        /// The SQL that mends it, or whom to ask.
        remedy: String,
    },
    /// A statement failed.
    #[error("{what}: {reason}")]
    #[diagnostic(code(postgres::statement), help("see the SQLSTATE in the Postgres manual, appendix A"))]
    Statement {
        /// What was tried.
        what: String,
        /// What the server said, without values.
        reason: String,
        /// The SQLSTATE.
        sqlstate: String,
    },
}

impl Error {
    /// Whether trying again later, unchanged, may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::Statement { sqlstate, .. } => {
                matches!(class_of(&SqlState::from_code(sqlstate)), Class::RetryTransaction | Class::Reconnect)
            }
            Self::Login { .. } | Self::NoDatabase { .. } | Self::Tls { .. } | Self::Permission { .. } => {
                false
            }
        }
    }

    /// The error of a statement; `what` says what was tried, as in "create the publication".
    #[must_use]
    pub fn statement(what: impl Into<String>, error: &tokio_postgres::Error) -> Self {
        let what = what.into();
        let Some(code) = error.code() else {
            return Self::Lost { reason: chain(error) };
        };
        if class_of(code) == Class::Reconnect {
            return Self::Lost { reason: describe(error) };
        }
        if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            let remedy = format!("grant the right to the role, or let its owner {what}");
            return Self::Permission { what, reason: describe(error), remedy };
        }
        Self::Statement { what, reason: describe(error), sqlstate: code.code().to_owned() }
    }

    /// What was tried and what the server said, where its disk is full; any other error comes back. Whose disk it is, source or
    /// target, is for the caller to say.
    ///
    /// # Errors
    /// The error itself.
    pub fn disk_full(self) -> Result<(String, String), Self> {
        match self {
            Self::Statement { what, reason, sqlstate } if sqlstate == DISK_FULL => Ok((what, reason)),
            other => Err(other),
        }
    }

    /// The error of a connect to `url`.
    pub(crate) fn connect(url: &crate::Url, error: &tokio_postgres::Error) -> Self {
        let (url, reason) = (url.to_string(), describe(error));
        match error.code() {
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => Self::NoDatabase { url },
            Some(code) if code.code().starts_with("28") || *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                Self::Login { url, reason }
            }
            // Starting up, shutting down, too many connections: as good as not there yet.
            Some(code) if class_of(code) == Class::Reconnect => Self::Unreachable { url, reason },
            Some(code) => {
                Self::Statement { what: format!("connect to {url}"), reason, sqlstate: code.code().into() }
            }
            None if reason.contains("TLS") || reason.contains("certificate") => Self::Tls { url, reason },
            None if reason.contains("password missing") => Self::Login { url, reason },
            None => Self::Unreachable { url, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_the_sqlstate() {
        for (code, class) in [
            ("40001", Class::RetryTransaction),
            ("40P01", Class::RetryTransaction),
            ("57P01", Class::Reconnect),
            ("08006", Class::Reconnect),
            ("23505", Class::Row),
            ("22P02", Class::Row),
            ("42P01", Class::Stop),
            ("57014", Class::Stop),
        ] {
            assert_eq!(class_of(&SqlState::from_code(code)), class, "{code}");
        }
    }
}
