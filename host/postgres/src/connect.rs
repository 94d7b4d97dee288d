//! Opening a connection whose session is pinned.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use tokio_postgres::config::{Config, SslMode as DriverSslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Error, SslMode, Url, tls};

/// Settings that every session has, so that the same value has the same text wherever it is read:
/// in the stream, in a snapshot and in a comparison.
pub const PINNED: [(&str, &str); 7] = [
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("lc_monetary", "C"),
    // Names from format_type come qualified, and no function of a user's schema shadows ours.
    ("search_path", "pg_catalog"),
];

/// libpq's `options` for a session: what the URL asks for, then `extra`, then the pinned settings, which win.
#[must_use]
pub fn options_with(url: &Url, extra: &[(&str, &str)]) -> String {
    let mut options = url.options.clone().unwrap_or_default();
    for (name, value) in extra.iter().chain(&PINNED) {
        let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
        options.push_str(&format!(" -c {name}={value}"));
    }
    options.trim_start().to_owned()
}

/// A connected session. Dropping it closes the connection.
#[derive(Debug)]
pub struct Client {
    client: tokio_postgres::Client,
    driver: JoinHandle<()>,
}

impl Deref for Client {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.client
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects with pinned settings and `extra` ones (such as `("session_replication_role", "replica")`).
/// `application` is what `pg_stat_activity` shows.
///
/// # Errors
/// Unreachable server, refused login, missing database, TLS that cannot be set up.
pub async fn connect(url: &Url, application: &str, extra: &[(&str, &str)]) -> Result<Client, Error> {
    let mut config = Config::new();
    config.host(&url.host).port(url.port).user(&url.user).dbname(&url.database);
    config.application_name(application).options(options_with(url, extra));
    config.connect_timeout(url.connect_timeout);
    config.keepalives_idle(Duration::from_secs(15)).keepalives_interval(Duration::from_secs(15));
    if let Some(password) = &url.password {
        config.password(password);
    }
    // Over a Unix socket Postgres speaks no TLS.
    let plain = url.sslmode == SslMode::Disable || url.host.starts_with('/');
    config.ssl_mode(match url.sslmode {
        _ if plain => DriverSslMode::Disable,
        SslMode::Disable => DriverSslMode::Disable,
        SslMode::Prefer => DriverSslMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => DriverSslMode::Require,
    });
    let fault = |error: tokio_postgres::Error| Error::connect(url, &error);
    if plain {
        let (client, connection) = config.connect(NoTls).await.map_err(fault)?;
        return Ok(Client { client, driver: tokio::spawn(drive(connection)) });
    }
    let (client, connection) =
        config.connect(MakeRustlsConnect::new(tls::config(url)?)).await.map_err(fault)?;
    Ok(Client { client, driver: tokio::spawn(drive(connection)) })
}

async fn drive<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // Who waits for an answer gets the error too; this line is for the case that nobody does.
    if let Err(error) = connection.await {
        tracing::debug!(error = %crate::describe(&error), "connection ended");
    }
}
