//! A replication connection: the part of the protocol that the SQL driver does not speak.
//!
//! The caller drives it: [`Replication::next`] takes messages out of what has been read, [`Replication::fill`] reads
//! more. So whoever collects rows decides when the socket is read, and a fast stream is read in large pieces instead of
//! row by row. See <https://www.postgresql.org/docs/current/protocol-replication.html>.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use event::Lsn;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::{backend, frontend};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::drowsy::{Drowsy, Watched};
use crate::{Error, SslMode, Url, options_with, tls};

/// How much is read at once.
const CHUNK: usize = 128 << 10;
/// Postgres counts microseconds from 2000-01-01.
const EPOCH: Duration = Duration::from_secs(946_684_800);
/// No message of the server may be longer: a row is at most 1 GB, and its text not much more.
const LONGEST: usize = 0x7fff_ffff;

/// Why a replication connection failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server closed the connection or ended the stream.
    #[error("the server closed the connection")]
    Closed,
    /// What the server said; the message may hold a value.
    #[error("the server reports SQLSTATE {sqlstate}")]
    Server {
        /// Its message.
        message: String,
        /// Its code.
        sqlstate: String,
    },
    /// Bytes that make no sense.
    #[error("{0}")]
    Protocol(String),
    /// TLS or login that cannot be done.
    #[error(transparent)]
    Refused(#[from] Error),
}

/// What the stream brings.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// A message of the output plugin.
    Data(Bytes),
    /// The server has read its log up to `end`.
    KeepAlive {
        /// Where it is.
        end: Lsn,
        /// It wants to hear from us at once.
        reply: bool,
    },
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {
    /// See [`Replication::pause`].
    fn sleep(&mut self) -> io::Result<()>;
}

impl<S: Watched> Socket for Drowsy<S> {
    fn sleep(&mut self) -> io::Result<()> {
        Self::sleep(self)
    }
}

impl Socket for tokio_rustls::client::TlsStream<Drowsy<TcpStream>> {
    fn sleep(&mut self) -> io::Result<()> {
        self.get_mut().0.sleep()
    }
}

/// A connection in replication mode.
pub struct Replication {
    socket: Box<dyn Socket>,
    input: BytesMut,
    output: BytesMut,
}

impl std::fmt::Debug for Replication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replication").field("buffered", &self.input.len()).finish_non_exhaustive()
    }
}

impl Replication {
    /// Connects to the URL's database with pinned settings. `application` is what `pg_stat_activity` shows.
    ///
    /// # Errors
    /// An unreachable server, TLS that cannot be set up, a refused login.
    pub async fn connect(url: &Url, application: &str) -> Result<Self, Failure> {
        let patience = url.connect_timeout;
        let late = || Error::Unreachable {
            url: url.to_string(),
            reason: format!("no answer within {} s", patience.as_secs()),
        };
        timeout(patience, Self::open(url, application)).await.map_err(|_| late())?
    }

    async fn open(url: &Url, application: &str) -> Result<Self, Failure> {
        let unreachable =
            |error: io::Error| Error::Unreachable { url: url.to_string(), reason: error.to_string() };
        let socket: Box<dyn Socket> = if url.host.starts_with('/') {
            let path = format!("{}/.s.PGSQL.{}", url.host, url.port);
            Box::new(Drowsy::new(UnixStream::connect(path).await.map_err(unreachable)?))
        } else {
            let socket = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(unreachable)?;
            socket.set_nodelay(true)?;
            encrypt(socket, url).await?
        };
        let mut connection = Self { socket, input: BytesMut::new(), output: BytesMut::new() };
        connection.log_in(url, application).await?;
        Ok(connection)
    }

    async fn log_in(&mut self, url: &Url, application: &str) -> Result<(), Failure> {
        let options = options_with(url, &[]);
        let parameters = [
            ("user", url.user.as_str()),
            ("database", url.database.as_str()),
            ("replication", "database"),
            ("client_encoding", "UTF8"),
            ("application_name", application),
            ("options", options.as_str()),
        ];
        frontend::startup_message(parameters, &mut self.output)?;
        self.flush().await?;
        let refused = |reason: &str| Error::Login { url: url.to_string(), reason: reason.to_owned() };
        let password = || url.password.as_deref().ok_or_else(|| refused("the server asks for a password"));
        let mut scram = None;
        loop {
            match self.answer().await? {
                backend::Message::AuthenticationCleartextPassword => {
                    frontend::password_message(password()?.as_bytes(), &mut self.output)?;
                }
                backend::Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(url.user.as_bytes(), password()?.as_bytes(), body.salt());
                    frontend::password_message(hash.as_bytes(), &mut self.output)?;
                }
                backend::Message::AuthenticationSasl(body) => {
                    let mut mechanisms = body.mechanisms();
                    let mut known = false;
                    while let Some(mechanism) = fallible_iterator::FallibleIterator::next(&mut mechanisms)? {
                        known |= mechanism == sasl::SCRAM_SHA_256;
                    }
                    if !known {
                        return Err(refused("the server offers no way to log in that is known here").into());
                    }
                    let begun =
                        sasl::ScramSha256::new(password()?.as_bytes(), sasl::ChannelBinding::unsupported());
                    frontend::sasl_initial_response(sasl::SCRAM_SHA_256, begun.message(), &mut self.output)?;
                    scram = Some(begun);
                }
                backend::Message::AuthenticationSaslContinue(body) => {
                    let scram = scram.as_mut().ok_or_else(|| unexpected("a login"))?;
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut self.output)?;
                }
                backend::Message::AuthenticationSaslFinal(body) => {
                    let scram = scram.as_mut().ok_or_else(|| unexpected("a login"))?;
                    scram
                        .finish(body.data())
                        .map_err(|_| refused("the server does not know the password itself"))?;
                }
                backend::Message::AuthenticationOk | backend::Message::BackendKeyData(_) => {}
                backend::Message::ReadyForQuery(_) => return Ok(()),
                _ => return Err(refused("the server asks for a way to log in that is not known here").into()),
            }
            self.flush().await?;
        }
    }

    /// The first row that a command answers, as text.
    ///
    /// # Errors
    /// What the server says.
    pub async fn row(&mut self, command: &str) -> Result<Vec<Option<String>>, Failure> {
        frontend::query(command, &mut self.output)?;
        self.flush().await?;
        let mut row = None;
        loop {
            match self.answer().await? {
                backend::Message::DataRow(body) if row.is_none() => {
                    let mut values = Vec::new();
                    let mut ranges = body.ranges();
                    while let Some(range) = fallible_iterator::FallibleIterator::next(&mut ranges)? {
                        let bytes = range.and_then(|range| body.buffer().get(range));
                        values.push(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
                    }
                    row = Some(values);
                }
                backend::Message::ReadyForQuery(_) => return row.ok_or_else(|| unexpected("a command")),
                _ => {}
            }
        }
    }

    /// Starts the stream; from now on there is only [`Replication::next`].
    ///
    /// # Errors
    /// What the server says.
    pub async fn stream(&mut self, command: &str) -> Result<(), Failure> {
        frontend::query(command, &mut self.output)?;
        self.flush().await?;
        loop {
            while let Some((tag, body)) = self.raw()? {
                match tag {
                    b'W' => return Ok(()),
                    b'E' => return Err(server_failure(&body)),
                    b'N' | b'S' => {}
                    _ => return Err(unexpected("START_REPLICATION")),
                }
            }
            self.fill().await?;
        }
    }

    /// A message that has been read already, if there is one.
    ///
    /// # Errors
    /// The end of the stream, and what the server says about it.
    #[allow(clippy::should_implement_trait, reason = "an iterator does not end and then go on")]
    pub fn next(&mut self) -> Result<Option<Message>, Failure> {
        while let Some((tag, mut body)) = self.raw()? {
            match (tag, body.first()) {
                // Start and end of what follows in the log, and the server's clock: the plugin's messages say more.
                (b'd', Some(b'w')) if body.len() >= 25 => {
                    body.advance(25);
                    return Ok(Some(Message::Data(body)));
                }
                (b'd', Some(b'k')) if body.len() >= 18 => {
                    body.advance(1);
                    let end = Lsn(body.get_u64());
                    let _clock = body.get_i64();
                    return Ok(Some(Message::KeepAlive { end, reply: body.get_u8() == 1 }));
                }
                (b'E', _) => return Err(server_failure(&body)),
                // The server ends the copy, or the command at once, when it shuts down.
                (b'c' | b'C', _) => return Err(Failure::Closed),
                (b'N' | b'S', _) => {}
                _ => return Err(unexpected("the stream")),
            }
        }
        Ok(None)
    }

    /// Reads what the socket has, at least a byte. May be dropped and called again.
    ///
    /// # Errors
    /// A socket that is closed or broken.
    pub async fn fill(&mut self) -> Result<(), Failure> {
        // A message that is only partly there may be longer than a chunk: its room is made at once.
        let wanted = self.announced().unwrap_or(0).saturating_sub(self.input.len());
        self.input.reserve(wanted.max(CHUNK));
        match self.socket.read_buf(&mut self.input).await? {
            0 => Err(Failure::Closed),
            _ => Ok(()),
        }
    }

    /// From now until the next read or write, nothing that arrives wakes anybody.
    ///
    /// # Errors
    /// A socket that is broken.
    pub fn pause(&mut self) -> Result<(), Failure> {
        Ok(self.socket.sleep()?)
    }

    /// Tells the server that everything before `confirmed` is done.
    ///
    /// # Errors
    /// A socket that is closed or broken.
    pub async fn confirm(&mut self, confirmed: Lsn) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(EPOCH);
        self.output.put_u8(b'd');
        self.output.put_i32(4 + 34);
        self.output.put_u8(b'r');
        for _written_flushed_applied in 0..3 {
            self.output.put_u64(confirmed.0);
        }
        self.output.put_i64(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        self.output.put_u8(0);
        self.flush().await
    }

    /// Ends the stream and says goodbye.
    ///
    /// # Errors
    /// A socket that is closed or broken.
    pub async fn close(&mut self) -> Result<(), Failure> {
        frontend::copy_done(&mut self.output);
        frontend::terminate(&mut self.output);
        self.flush().await?;
        Ok(self.socket.shutdown().await?)
    }

    /// Length of the message that is next, if that much has been read.
    fn announced(&self) -> Option<usize> {
        let length = self.input.get(1..5)?.try_into().map(u32::from_be_bytes).ok()?;
        Some(length as usize + 1)
    }

    /// The next message with its tag, if it is there as a whole.
    fn raw(&mut self) -> Result<Option<(u8, Bytes)>, Failure> {
        let Some(length) = self.announced() else { return Ok(None) };
        if !(5..=LONGEST).contains(&length) {
            return Err(Failure::Protocol(format!("a message of {length} bytes")));
        }
        if self.input.len() < length {
            return Ok(None);
        }
        let mut message = self.input.split_to(length).freeze();
        let tag = message.get_u8();
        message.advance(4);
        Ok(Some((tag, message)))
    }

    /// The next message before the stream.
    async fn answer(&mut self) -> Result<backend::Message, Failure> {
        loop {
            match backend::Message::parse(&mut self.input)? {
                Some(backend::Message::ErrorResponse(body)) => return Err(failure(body.fields())),
                Some(backend::Message::NoticeResponse(_) | backend::Message::ParameterStatus(_)) => {}
                Some(message) => return Ok(message),
                None => self.fill().await?,
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        while !self.output.is_empty() {
            self.socket.write_buf(&mut self.output).await?;
        }
        Ok(self.socket.flush().await?)
    }
}

/// Asks for TLS as the URL's mode says.
async fn encrypt(socket: TcpStream, url: &Url) -> Result<Box<dyn Socket>, Failure> {
    let mut socket = Drowsy::new(socket);
    if url.sslmode == SslMode::Disable {
        return Ok(Box::new(socket));
    }
    let fault = |reason: String| Error::Tls { url: url.to_string(), reason };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket.write_all(&request).await?;
    if socket.read_u8().await? != b'S' {
        return match url.sslmode {
            SslMode::Prefer => Ok(Box::new(socket)),
            _ => Err(fault("the server does not support TLS".to_owned()).into()),
        };
    }
    let config = tls::config(url)?;
    let name = ServerName::try_from(url.host.clone()).map_err(|error| fault(error.to_string()))?;
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let socket = connector.connect(name, socket).await.map_err(|error| fault(error.to_string()))?;
    Ok(Box::new(socket))
}

fn unexpected(place: &str) -> Failure {
    Failure::Protocol(format!("a message that has no place in {place}"))
}

fn failure(mut fields: backend::ErrorFields<'_>) -> Failure {
    let (mut message, mut sqlstate) = (String::new(), String::new());
    while let Ok(Some(field)) = fallible_iterator::FallibleIterator::next(&mut fields) {
        match field.type_() {
            b'M' => message = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            b'C' => sqlstate = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            _ => {}
        }
    }
    Failure::Server { message, sqlstate }
}

/// The fields of an error: a letter and a text that ends with zero, until a zero.
fn server_failure(body: &[u8]) -> Failure {
    let (mut message, mut sqlstate) = (String::new(), String::new());
    for field in body.split(|byte| *byte == 0) {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        match field {
            [b'M', value @ ..] => message = text(value),
            [b'C', value @ ..] => sqlstate = text(value),
            _ => {}
        }
    }
    Failure::Server { message, sqlstate }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(bytes: &[u8]) -> Replication {
        let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = Drowsy::new(UnixStream::from_std(socket).unwrap());
        Replication { socket: Box::new(socket), input: BytesMut::from(bytes), output: BytesMut::new() }
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[tag], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
    }

    #[tokio::test]
    async fn messages_come_out_whole_however_they_arrived() {
        let data = message(b'd', &[&[b'w'][..], &[0; 24], b"row"].concat());
        let alive = message(b'd', &[&[b'k'][..], &7_u64.to_be_bytes(), &[0; 8], &[1]].concat());
        let all = [data, message(b'N', b"Mnotice\0\0"), alive].concat();
        let want =
            [Message::Data(Bytes::from_static(b"row")), Message::KeepAlive { end: Lsn(7), reply: true }];
        for cut in 0..all.len() {
            let mut connection = reading(&all[..cut]);
            let mut got = Vec::new();
            for rest in [&[][..], &all[cut..]] {
                connection.input.extend_from_slice(rest);
                while let Some(message) = connection.next().unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, want, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn an_error_of_the_server_keeps_its_code_and_shows_no_message_by_itself() {
        let mut connection = reading(&message(b'E', b"SERROR\0C22P05\0Mthe secret\0\0"));
        let failure = connection.next().unwrap_err();
        assert!(!failure.to_string().contains("secret"), "{failure}");
        assert!(
            matches!(failure, Failure::Server { sqlstate, message } if sqlstate == "22P05" && message == "the secret")
        );
    }

    #[tokio::test]
    async fn lengths_that_cannot_be_and_messages_out_of_place_are_refused() {
        for bytes in [
            vec![b'd', 0, 0, 0, 3],
            vec![b'd', 0xff, 0xff, 0xff, 0xff],
            message(b'T', b""),
            message(b'd', b"w"),
        ] {
            assert!(matches!(reading(&bytes).next(), Err(Failure::Protocol(_))), "{bytes:?}");
        }
        assert!(matches!(reading(&message(b'c', b"")).next(), Err(Failure::Closed)));
    }
}
