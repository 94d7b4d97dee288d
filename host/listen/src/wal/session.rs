//! The replication connection: how it is opened, and what its errors mean.

use std::path::PathBuf;

use event::Lsn;
use pgwire_replication::{PgWireError, ReplicationClient, ReplicationConfig, SslMode, TlsConfig};
use postgres::{Class, SslMode as UrlSslMode, Url, ident};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::wal::server::APPLICATION;
use crate::wal::{Error, Options};

/// Messages that wait between the socket and the collector. Each holds one row, which may be as large as a
/// megabyte and more, so there are few.
const BUFFERED: usize = 64;

/// Progress is told to the server at most this often.
const STATUS_PACE: std::time::Duration = std::time::Duration::from_millis(100);

/// Why a stream could not be started.
pub(crate) enum Refused {
    /// Another session was quicker.
    InUse,
    /// Anything else.
    Because(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Because(error)
    }
}

/// Connects and starts the stream at `start`. Nothing beyond `confirmed` is acknowledged until the caller says so.
pub(crate) async fn open(
    options: &Options,
    system_id: &str,
    start: Lsn,
    confirmed: Lsn,
) -> Result<ReplicationClient, Refused> {
    let lost = |error| connect_error(options, error);
    let mut client =
        ReplicationClient::connect_gated(config(options, start, confirmed)).await.map_err(lost)?;
    let Ok(system) = timeout(options.url.connect_timeout, client.identify_system()).await else {
        client.abort();
        let reason = format!("no answer within {} s", options.url.connect_timeout.as_secs());
        let error = postgres::Error::Unreachable { url: options.url.to_string(), reason };
        return Err(Refused::Because(error.into()));
    };
    let system = system.map_err(lost)?;
    if system.system_id != system_id {
        let (expected, found) = (system_id.to_owned(), system.system_id);
        return Err(Refused::Because(Error::OtherSystem { expected, found }));
    }
    let end = Lsn(system.xlogpos.as_u64());
    if start > end {
        return Err(Refused::Because(Error::Ahead { start, end }));
    }
    client.start().await.map_err(lost)?;
    match client.wait_started().await {
        Ok(()) => Ok(client),
        Err(PgWireError::Server(text)) if parts(&text).1 == SqlState::OBJECT_IN_USE.code() => {
            Err(Refused::InUse)
        }
        Err(error) => Err(Refused::Because(stream_error(options, &error))),
    }
}

fn config(options: &Options, start: Lsn, confirmed: Lsn) -> ReplicationConfig {
    let url = &options.url;
    let position = |lsn: Lsn| pgwire_replication::Lsn::from_u64(lsn.0);
    // Slot and publications are pasted into the command, the latter as a list of identifiers.
    let password = url.password.clone().unwrap_or_default();
    ReplicationConfig::new(
        url.host.clone(),
        url.user.clone(),
        password,
        url.database.clone(),
        ident(&options.slot),
        ident(&options.publication),
    )
    .with_port(url.port)
    .with_tls(tls(url))
    .with_start_lsn(position(start))
    .with_ack_lsn(position(confirmed))
    .with_status_interval(STATUS_PACE.min(options.status_interval))
    .with_wakeup_interval(options.status_interval)
    .with_buffer_size(BUFFERED)
    .with_options(postgres::options_with(url, &[]))
    .with_application_name(APPLICATION)
}

fn tls(url: &Url) -> TlsConfig {
    // Over a Unix socket Postgres speaks no TLS.
    let mode = match url.sslmode {
        _ if url.host.starts_with('/') => SslMode::Disable,
        UrlSslMode::Disable => SslMode::Disable,
        UrlSslMode::Prefer => SslMode::Prefer,
        // With a root certificate the chain is verified, as in libpq.
        UrlSslMode::Require if url.root_certificate.is_some() => SslMode::VerifyCa,
        UrlSslMode::Require => SslMode::Require,
        UrlSslMode::VerifyCa => SslMode::VerifyCa,
        UrlSslMode::VerifyFull => SslMode::VerifyFull,
    };
    let mut tls = TlsConfig::disabled();
    tls.ca_pem_path =
        url.root_certificate.clone().or_else(|| mode.verifies_certificate().then(system_roots).flatten());
    tls.client_cert_pem_path = url.certificate.clone();
    tls.client_key_pem_path = url.key.clone();
    tls.mode = mode;
    tls
}

/// The system's roots, as the SQL connection has them: without a file the client would take Mozilla's alone.
fn system_roots() -> Option<PathBuf> {
    let usual = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.into_iter().chain(usual.map(PathBuf::from)).find(|path| path.is_file())
}

/// The message and the SQLSTATE of a server's error, which the client gives as one text.
fn parts(text: &str) -> (&str, &str) {
    match text.rsplit_once(" (SQLSTATE ") {
        Some((message, code)) => (message, code.trim_end_matches(')')),
        None => (text, ""),
    }
}

/// An error before the stream has started.
fn connect_error(options: &Options, error: PgWireError) -> Error {
    let url = options.url.to_string();
    match error {
        PgWireError::Io(reason) => postgres::Error::Unreachable { url, reason: reason.to_string() }.into(),
        other => stream_error(options, &other),
    }
}

/// What an error of the replication connection means.
pub(crate) fn stream_error(options: &Options, error: &PgWireError) -> Error {
    match error {
        PgWireError::Server(text) => server_error(options, text),
        PgWireError::Io(reason) => Error::lost(reason.to_string()),
        PgWireError::Protocol(reason) => Error::Protocol { reason: reason.clone() },
        PgWireError::MessageTooLarge { .. } => Error::Protocol { reason: error.to_string() },
        PgWireError::Auth(reason) => {
            postgres::Error::Login { url: options.url.to_string(), reason: reason.clone() }.into()
        }
        PgWireError::Tls(reason) => {
            postgres::Error::Tls { url: options.url.to_string(), reason: reason.clone() }.into()
        }
        other => Error::lost(other.to_string()),
    }
}

fn server_error(options: &Options, text: &str) -> Error {
    let (message, sqlstate) = parts(text);
    let code = SqlState::from_code(sqlstate);
    let slot = || options.slot.clone();
    let login = || postgres::Error::Login { url: options.url.to_string(), reason: text.to_owned() }.into();
    if code == SqlState::UNDEFINED_OBJECT && message.starts_with("publication") {
        let publication = options.publication.clone();
        return Error::NoPublication { publication, database: options.url.database.clone() };
    }
    if code == SqlState::UNDEFINED_OBJECT && message.starts_with("replication slot") {
        return Error::NoSlot { slot: slot() };
    }
    if code == SqlState::UNDEFINED_FILE {
        return Error::SlotLost { slot: slot(), reason: text.to_owned() };
    }
    // The message of 17 and older: `can no longer get changes from …`; of 18: `can no longer access …`.
    if code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE && message.starts_with("can no longer") {
        return Error::SlotLost { slot: slot(), reason: text.to_owned() };
    }
    if code == SqlState::TOO_MANY_CONNECTIONS && message.contains("max_wal_senders") {
        return Error::NoFreeWalsender { reason: text.to_owned() };
    }
    if code == SqlState::INSUFFICIENT_PRIVILEGE {
        return Error::NoReplicationRight { role: options.url.user.clone() };
    }
    if sqlstate.starts_with("28") {
        return login();
    }
    match postgres::class_of(&code) {
        Class::Reconnect => Error::lost(text),
        // The message may hold a value.
        Class::Row => {
            Error::Stream { reason: "a value could not be sent".to_owned(), sqlstate: sqlstate.to_owned() }
        }
        Class::RetryTransaction | Class::Stop => {
            Error::Stream { reason: message.to_owned(), sqlstate: sqlstate.to_owned() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options::new(Url::parse("postgres://app@db.example/shop").unwrap()).unwrap()
    }

    #[test]
    fn server_errors_are_told_apart_by_their_sqlstate() {
        let of = |text: &str| stream_error(&options(), &PgWireError::Server(text.into()));
        let transient = [
            "terminating connection due to administrator command (SQLSTATE 57P01)",
            "the database system is starting up (SQLSTATE 57P03)",
            "number of requested standby connections exceeds max_wal_senders (currently 1) (SQLSTATE 53300)",
        ];
        for text in transient {
            assert!(of(text).is_transient(), "{text}");
        }
        let gone = of("publication \"p\" does not exist (SQLSTATE 42704)");
        assert!(matches!(gone, Error::NoPublication { .. }), "{gone}");
        let gone = of("replication slot \"s\" does not exist (SQLSTATE 42704)");
        assert!(matches!(gone, Error::NoSlot { .. }), "{gone}");
        let lost = of("can no longer get changes from replication slot \"s\" (SQLSTATE 55000)");
        assert!(matches!(lost, Error::SlotLost { .. }), "{lost}");
        let lost = of("requested WAL segment 0001 has already been removed (SQLSTATE 58P01)");
        assert!(matches!(lost, Error::SlotLost { .. }), "{lost}");
        let right = of("must be superuser or replication role to start walsender (SQLSTATE 42501)");
        assert!(matches!(right, Error::NoReplicationRight { .. }), "{right}");
    }

    #[test]
    fn a_message_that_may_hold_a_value_is_not_passed_on() {
        let text = "character with byte sequence 0xc5 0x83 has no equivalent (SQLSTATE 22P05)";
        let error = stream_error(&options(), &PgWireError::Server(text.into()));
        assert!(!format!("{error} {error:?}").contains("0xc5"), "{error}");
    }

    #[test]
    fn tls_means_the_same_as_on_the_sql_connection() {
        let mode = |url: &str| tls(&Url::parse(url).unwrap()).mode;
        assert_eq!(mode("postgres://u@h/d"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@h/d?sslmode=require"), SslMode::Require);
        assert_eq!(mode("postgres://u@h/d?sslmode=require&sslrootcert=/ca.pem"), SslMode::VerifyCa);
        assert_eq!(mode("postgres://u@h/d?sslmode=verify-full"), SslMode::VerifyFull);
        assert_eq!(mode("postgres:///d?host=/run/postgresql&sslmode=require"), SslMode::Disable);
    }
}
