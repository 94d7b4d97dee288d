//! The replication connection: how it is opened, and what its errors mean.

use std::time::Duration;

use event::Lsn;
use postgres::{Class, Failure, Message, Replication, ident, literal};
use tokio::time::{Instant, timeout};
use tokio_postgres::error::SqlState;

use crate::wal::server::{APPLICATION, Server};
use crate::wal::{Error, Options};

/// Progress is told to the server at most this often.
const STATUS_PACE: Duration = Duration::from_millis(100);

/// A stream of the slot, and what the server was told of it.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Replication,
    options: Options,
    /// How often the server hears of us, whatever happens.
    interval: Duration,
    /// What may be told.
    confirmed: Lsn,
    /// What was told, and when.
    told: Lsn,
    told_at: Instant,
    /// The server wants to be told at once.
    asked: bool,
    /// The server is to say how far it has read even where that brings nothing.
    asks: bool,
}

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

impl Session {
    /// Connects and starts the stream at `start`. Nothing beyond `confirmed` is acknowledged until the caller says so.
    pub(crate) async fn open(
        options: &Options,
        server: &Server,
        start: Lsn,
        confirmed: Lsn,
    ) -> Result<Self, Refused> {
        let failed = |failure| Refused::Because(stream_error(options, failure));
        let mut connection = Replication::connect(&options.url, APPLICATION).await.map_err(failed)?;
        let patience = options.url.connect_timeout;
        let answer = timeout(patience, connection.row("IDENTIFY_SYSTEM")).await.map_err(|_| {
            let reason = format!("no answer within {} s", patience.as_secs());
            Error::from(postgres::Error::Unreachable { url: options.url.to_string(), reason })
        })?;
        let row = answer.map_err(failed)?;
        let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        let (found, end) = (text(0), text(2).parse().unwrap_or_default());
        if found != server.system_id {
            return Err(Error::OtherSystem { expected: server.system_id.clone(), found }.into());
        }
        if start > end {
            return Err(Error::Ahead { start, end }.into());
        }
        let (slot, publication) = (ident(&options.slot), literal(&ident(&options.publication)));
        let command = format!(
            "START_REPLICATION SLOT {slot} LOGICAL {start} (proto_version '1', publication_names {publication})"
        );
        match connection.stream(&command).await {
            Ok(()) => {}
            Err(Failure::Server { sqlstate, .. }) if sqlstate == SqlState::OBJECT_IN_USE.code() => {
                return Err(Refused::InUse);
            }
            Err(failure) => return Err(failed(failure)),
        }
        let options = options.clone();
        // Often enough that one that is late, or two, do not end the session.
        let interval = server
            .patience
            .map_or(options.status_interval, |patience| options.status_interval.min(patience / 3));
        let told_at = Instant::now();
        Ok(Self {
            connection,
            options,
            interval,
            confirmed,
            told: confirmed,
            told_at,
            asked: false,
            asks: false,
        })
    }

    /// A message that has arrived already.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Error> {
        let message = self.connection.next().map_err(|failure| stream_error(&self.options, failure))?;
        if let Some(Message::KeepAlive { reply: true, .. }) = message {
            self.asked = true;
        }
        Ok(message)
    }

    /// Waits until more has arrived. May be dropped and called again.
    pub(crate) async fn fill(&mut self) -> Result<(), Error> {
        self.connection.fill().await.map_err(|failure| stream_error(&self.options, failure))
    }

    /// Leaves the connection alone until it is used again.
    pub(crate) fn pause(&mut self) -> Result<(), Error> {
        self.connection.pause().map_err(|failure| stream_error(&self.options, failure))
    }

    /// From now on the server may be told this.
    pub(crate) fn confirm(&mut self, lsn: Lsn) {
        self.confirmed = self.confirmed.max(lsn);
    }

    /// From now on the server is asked again and again how far it is.
    pub(crate) fn ask(&mut self) {
        self.asks = true;
    }

    /// When the server should hear from us.
    pub(crate) fn due(&self) -> Instant {
        match (self.asked, self.asks || self.confirmed > self.told) {
            (true, _) => self.told_at,
            (false, true) => self.told_at + STATUS_PACE.min(self.interval),
            (false, false) => self.told_at + self.interval,
        }
    }

    /// Tells the server what is confirmed.
    pub(crate) async fn tell(&mut self) -> Result<(), Error> {
        let confirmed = self.connection.confirm(self.confirmed, self.asks).await;
        confirmed.map_err(|failure| stream_error(&self.options, failure))?;
        (self.told, self.told_at, self.asked) = (self.confirmed, Instant::now(), false);
        Ok(())
    }

    /// Ends the stream.
    pub(crate) async fn close(mut self) {
        // A connection that is broken has ended too.
        let _ended = self.connection.close().await;
    }
}

/// What an error of the replication connection means.
fn stream_error(options: &Options, failure: Failure) -> Error {
    match failure {
        Failure::Server { message, sqlstate } => server_error(options, &message, &sqlstate),
        Failure::Io(_) | Failure::Closed => Error::lost(failure.to_string()),
        Failure::Protocol(reason) => Error::Protocol { reason },
        Failure::Refused(error) => error.into(),
    }
}

fn server_error(options: &Options, message: &str, sqlstate: &str) -> Error {
    let code = SqlState::from_code(sqlstate);
    let text = &format!("{message} (SQLSTATE {sqlstate})");
    let slot = || options.slot.clone();
    let login = || postgres::Error::Login { url: options.url.to_string(), reason: text.to_owned() }.into();
    // Until 17 an error, from 18 on a warning.
    let no_publication = (code == SqlState::UNDEFINED_OBJECT && message.starts_with("publication"))
        || (code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
            && message.starts_with("skipped loading publication"));
    if no_publication {
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
    if sqlstate == postgres::DISK_FULL {
        return Error::DiskFull { what: "read its log".to_owned(), reason: text.to_owned() };
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
    use postgres::Url;

    use super::*;

    fn options() -> Options {
        Options::new(Url::parse("postgres://app@db.example/shop").unwrap()).unwrap()
    }

    #[test]
    fn server_errors_are_told_apart_by_their_sqlstate() {
        let of = |text: &str| {
            let (message, rest) = text.rsplit_once(" (SQLSTATE ").unwrap();
            server_error(&options(), message, rest.trim_end_matches(')'))
        };
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
        let gone = of("skipped loading publication \"p\" (SQLSTATE 55000)");
        assert!(matches!(gone, Error::NoPublication { .. }), "{gone}");
        let gone = of("replication slot \"s\" does not exist (SQLSTATE 42704)");
        assert!(matches!(gone, Error::NoSlot { .. }), "{gone}");
        let lost = of("can no longer get changes from replication slot \"s\" (SQLSTATE 55000)");
        assert!(matches!(lost, Error::SlotLost { .. }), "{lost}");
        let full = of("could not write to data file for XID 742: No space left on device (SQLSTATE 53100)");
        assert!(matches!(full, Error::DiskFull { .. }) && !full.is_transient(), "{full}");
        let lost = of("requested WAL segment 0001 has already been removed (SQLSTATE 58P01)");
        assert!(matches!(lost, Error::SlotLost { .. }), "{lost}");
        let right = of("must be superuser or replication role to start walsender (SQLSTATE 42501)");
        assert!(matches!(right, Error::NoReplicationRight { .. }), "{right}");
    }

    #[test]
    fn a_message_that_may_hold_a_value_is_not_passed_on() {
        let message = "character with byte sequence 0xc5 0x83 has no equivalent".to_owned();
        let error = stream_error(&options(), Failure::Server { message, sqlstate: "22P05".to_owned() });
        assert!(!format!("{error} {error:?}").contains("0xc5"), "{error}");
    }
}
