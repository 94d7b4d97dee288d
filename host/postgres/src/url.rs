//! A Postgres address, `postgres://user:password@host:port/database?sslmode=…`, parsed once.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// How much TLS a connection asks for; libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it; not verified.
    Prefer,
    /// Always; not verified, as in libpq without a root certificate.
    Require,
    /// Always; the chain is verified, the name is not.
    VerifyCa,
    /// Always; chain and name are verified.
    VerifyFull,
}

/// Why an address is refused. Never holds the address: it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL at all.
    #[error("not a URL ({0}); expected postgres://user:password@host:port/database")]
    Syntax(String),
    /// A URL of something else.
    #[error("scheme `{0}` is not `postgres` or `postgresql`")]
    Scheme(String),
    /// There is no database in it.
    #[error("the URL names no database; expected postgres://user:password@host:port/database")]
    NoDatabase,
    /// A parameter that is not known or has a value that it cannot have.
    #[error("parameter `{name}`: {problem}")]
    Parameter {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// A parsed address. `Display` and `Debug` leave the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Host name, address, or directory of a Unix socket (starts with `/`).
    pub host: String,
    /// Port, 5432 if none is given.
    pub port: u16,
    /// Role.
    pub user: String,
    /// Password, if there is one.
    pub password: Option<String>,
    /// Database.
    pub database: String,
    /// TLS.
    pub sslmode: SslMode,
    /// PEM file of the trusted roots; the system's if none.
    pub root_certificate: Option<PathBuf>,
    /// PEM file of the client's certificate.
    pub certificate: Option<PathBuf>,
    /// PEM file of the client's key.
    pub key: Option<PathBuf>,
    /// libpq's `options`: `-c name=value …`.
    pub options: Option<String>,
    /// How long a connect may take.
    pub connect_timeout: Duration,
}

impl Url {
    /// Parses an address.
    ///
    /// # Errors
    /// Anything that is not a Postgres URL with a database, or has a parameter that is not known.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = escape_password(text.trim());
        let url = ::url::Url::parse(&text).map_err(|error| UrlError::Syntax(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(UrlError::Scheme(url.scheme().to_owned()));
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut parsed = Self {
            host: url.host_str().map(|host| decode(host.trim_matches(['[', ']']))).unwrap_or_default(),
            port: url.port().unwrap_or(5432),
            user: decode(url.username()),
            password: url.password().map(decode),
            database: decode(url.path().trim_start_matches('/')),
            sslmode: SslMode::Prefer,
            root_certificate: None,
            certificate: None,
            key: None,
            options: None,
            // The original's: long enough for a server that is just waking up.
            connect_timeout: Duration::from_secs(90),
        };
        for (name, value) in url.query_pairs() {
            parsed.parameter(&name, value.into_owned())?;
        }
        if parsed.host.is_empty() {
            "localhost".clone_into(&mut parsed.host);
        }
        if parsed.user.is_empty() {
            "postgres".clone_into(&mut parsed.user);
        }
        if parsed.database.is_empty() {
            return Err(UrlError::NoDatabase);
        }
        Ok(parsed)
    }

    fn parameter(&mut self, name: &str, value: String) -> Result<(), UrlError> {
        let bad = |problem: &str| UrlError::Parameter { name: name.to_owned(), problem: problem.to_owned() };
        match name {
            "sslmode" => {
                self.sslmode = match value.as_str() {
                    "disable" => SslMode::Disable,
                    "allow" | "prefer" => SslMode::Prefer,
                    "require" => SslMode::Require,
                    "verify-ca" => SslMode::VerifyCa,
                    "verify-full" => SslMode::VerifyFull,
                    _ => return Err(bad("expected disable, prefer, require, verify-ca or verify-full")),
                }
            }
            "sslrootcert" => self.root_certificate = Some(value.into()),
            "sslcert" => self.certificate = Some(value.into()),
            "sslkey" => self.key = Some(value.into()),
            "options" => self.options = Some(value),
            "host" => self.host = value,
            "port" => self.port = value.parse().map_err(|_| bad("expected a port number"))?,
            "user" => self.user = value,
            "password" => self.password = Some(value),
            "dbname" => self.database = value,
            "connect_timeout" => {
                let seconds = value.parse().map_err(|_| bad("expected seconds"))?;
                if seconds > 0 {
                    self.connect_timeout = Duration::from_secs(seconds);
                }
            }
            // Of libpq and of the original's driver, without a meaning here: accepted so that a URL can be
            // shared between programs.
            "application_name"
            | "target_session_attrs"
            | "gssencmode"
            | "channel_binding"
            | "keepalives"
            | "keepalives_idle"
            | "keepalives_interval"
            | "keepalives_count"
            | "client_encoding"
            | "pool_max_conns"
            | "pool_min_conns"
            | "pool_max_conn_lifetime"
            | "pool_max_conn_idle_time"
            | "pool_health_check_period" => {}
            _ => return Err(bad("not a known connection parameter")),
        }
        Ok(())
    }

    /// The same server and role, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }
}

/// Everything that may not stand in a password, but `%`: what is escaped already stays as it is.
const PASSWORD: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'%');

/// A password with characters that a URL gives another meaning (`#`, `/`, `@`, …) is escaped, as in the original.
fn escape_password(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    // The last `@` that stands before a host and a path; one in the query does not.
    let before_host = |(at, _): &(usize, &str)| {
        let host = rest.get(at + 1..).unwrap_or_default().split('/').next().unwrap_or_default();
        let named = |c: char| c.is_ascii_alphanumeric() || "-._:[]%".contains(c);
        host.len() < rest.len() - at - 1 && host.chars().all(named)
    };
    let Some((at, _)) = rest.rmatch_indices('@').find(before_host) else { return text.into() };
    let (login, host) = rest.split_at(at);
    let Some((user, password)) = login.split_once(':') else { return text.into() };
    format!("{scheme}://{user}:{}{host}", utf8_percent_encode(password, PASSWORD)).into()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_decoded_and_the_password_stays_hidden() {
        let url = Url::parse(
            "postgres://app%40x:s%3Acret@db.example:6000/my%20db?sslmode=verify-full&sslrootcert=/ca.pem",
        )
        .unwrap();
        assert_eq!(url.user, "app@x");
        assert_eq!(url.password.as_deref(), Some("s:cret"));
        assert_eq!(url.database, "my db");
        assert_eq!(url.sslmode, SslMode::VerifyFull);
        assert_eq!(url.root_certificate, Some("/ca.pem".into()));
        assert_eq!(format!("{url:?} {url}").matches("s:cret").count(), 0);
    }

    #[test]
    fn a_password_needs_no_escapes() {
        for (url, password) in [
            ("postgres://u:p#: '\"x/?@y@h/d", "p#: '\"x/?@y"),
            ("postgres://u:p%23q@h/d?options=-c%20a=b@c", "p#q"),
            ("postgres://u:é@h:1/d", "é"),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(
                (url.password.as_deref(), url.host.as_str(), url.database.as_str()),
                (Some(password), "h", "d")
            );
        }
    }

    #[test]
    fn unix_sockets_and_defaults() {
        let url = Url::parse("postgresql:///app?host=/run/postgresql").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.user.as_str()), ("/run/postgresql", 5432, "postgres"));
        let url = Url::parse("postgres://u@[::1]/app").unwrap();
        assert_eq!(url.host, "::1");
    }

    #[test]
    fn other_addresses_are_refused_with_what_is_wrong() {
        assert!(matches!(Url::parse("not a url"), Err(UrlError::Syntax(_))));
        assert_eq!(Url::parse("mysql://h/d"), Err(UrlError::Scheme("mysql".into())));
        assert_eq!(Url::parse("postgres://u@h"), Err(UrlError::NoDatabase));
        assert!(matches!(Url::parse("postgres://u@h/d?sslmode=maybe"), Err(UrlError::Parameter { .. })));
        assert!(matches!(Url::parse("postgres://u@h/d?ssl_mode=require"), Err(UrlError::Parameter { .. })));
    }
}
