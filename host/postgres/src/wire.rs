//! A connection of our own: the parts of the protocol that the SQL driver does not speak, or not fast enough.
//!
//! The caller drives it: messages are taken out of what has been read, and [`Wire::fill`] reads more.
//! See <https://www.postgresql.org/docs/current/protocol.html>.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
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
/// Tag and length of a message.
const HEAD: usize = 5;
/// No message of the server may be longer: a row is at most 1 GB, and its text not much more.
const LONGEST: usize = 0x7fff_ffff;

/// Why a connection of our own failed.
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

/// What a session is opened with.
pub(crate) struct Parameters<'a> {
    /// What `pg_stat_activity` shows.
    pub(crate) application: &'a str,
    /// Replication mode.
    pub(crate) replication: bool,
    /// Settings beside the pinned ones.
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {
    /// See [`Wire::pause`].
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

/// A connection.
pub(crate) struct Wire {
    pub(crate) socket: Box<dyn Socket>,
    pub(crate) input: BytesMut,
    pub(crate) output: BytesMut,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("buffered", &self.input.len()).finish_non_exhaustive()
    }
}

impl Wire {
    /// Connects to the URL's database with pinned settings.
    pub(crate) async fn connect(url: &Url, parameters: &Parameters<'_>) -> Result<Self, Failure> {
        let patience = url.connect_timeout;
        let late = || Error::Unreachable {
            url: url.to_string(),
            reason: format!("no answer within {} s", patience.as_secs()),
        };
        timeout(patience, Self::open(url, parameters)).await.map_err(|_| late())?
    }

    async fn open(url: &Url, parameters: &Parameters<'_>) -> Result<Self, Failure> {
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
        connection.log_in(url, parameters).await?;
        Ok(connection)
    }

    async fn log_in(&mut self, url: &Url, asked: &Parameters<'_>) -> Result<(), Failure> {
        let options = options_with(url, asked.settings);
        let parameters = [
            ("user", url.user.as_str()),
            ("database", url.database.as_str()),
            ("client_encoding", "UTF8"),
            ("application_name", asked.application),
            ("options", options.as_str()),
        ];
        let replication = asked.replication.then_some(("replication", "database"));
        frontend::startup_message(parameters.into_iter().chain(replication), &mut self.output)?;
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

    /// The first row that a command answers, as text; `None` if it answers none.
    pub(crate) async fn row(&mut self, command: &str) -> Result<Option<Vec<Option<String>>>, Failure> {
        self.query(command).await?;
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
                backend::Message::ReadyForQuery(_) => return Ok(row),
                _ => {}
            }
        }
    }

    /// Sends a command; its answers are read one by one.
    async fn query(&mut self, command: &str) -> Result<(), Failure> {
        frontend::query(command, &mut self.output)?;
        self.flush().await
    }

    /// Starts what goes on in messages of its own; the server's answer has the tag `begins`. `place` is for its errors.
    pub(crate) async fn start(&mut self, command: &str, begins: u8, place: &str) -> Result<(), Failure> {
        self.query(command).await?;
        loop {
            while let Some((tag, body)) = self.raw()? {
                match tag {
                    tag if tag == begins => return Ok(()),
                    b'E' => return Err(server_failure(&body)),
                    b'N' | b'S' => {}
                    _ => return Err(unexpected(place)),
                }
            }
            self.fill(true).await?;
        }
    }

    /// Reads what the socket has, at least a byte. Where messages are taken `whole`, a long one gets its room at once. May
    /// be dropped and called again.
    pub(crate) async fn fill(&mut self, whole: bool) -> Result<(), Failure> {
        let length = if whole { self.announced().unwrap_or(0) } else { 0 };
        self.input.reserve(length.saturating_sub(self.input.len()).max(CHUNK));
        match self.socket.read_buf(&mut self.input).await? {
            0 => Err(Failure::Closed),
            _ => Ok(()),
        }
    }

    /// From now until the next read or write, nothing that arrives wakes anybody.
    pub(crate) fn pause(&mut self) -> Result<(), Failure> {
        Ok(self.socket.sleep()?)
    }

    /// Length of the message that is next, if that much has been read.
    fn announced(&self) -> Option<usize> {
        let length = self.input.get(1..HEAD)?.try_into().map(u32::from_be_bytes).ok()?;
        Some(length as usize + 1)
    }

    /// Takes the head of the next message if it has this tag and is there. So many bytes follow.
    pub(crate) fn begins(&mut self, tag: u8) -> Result<Option<usize>, Failure> {
        let (Some(length), Some(next)) = (self.announced(), self.input.first()) else { return Ok(None) };
        if *next != tag {
            return Ok(None);
        }
        let length = possible(length)?;
        self.input.advance(HEAD);
        Ok(Some(length - HEAD))
    }

    /// The next message with its tag, if it is there as a whole.
    pub(crate) fn raw(&mut self) -> Result<Option<(u8, Bytes)>, Failure> {
        let Some(length) = self.announced() else { return Ok(None) };
        let length = possible(length)?;
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
                None => self.fill(true).await?,
            }
        }
    }

    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
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

fn possible(length: usize) -> Result<usize, Failure> {
    let is_possible = (HEAD..=LONGEST).contains(&length);
    if is_possible { Ok(length) } else { Err(Failure::Protocol(format!("a message of {length} bytes"))) }
}

pub(crate) fn unexpected(place: &str) -> Failure {
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
pub(crate) fn server_failure(body: &[u8]) -> Failure {
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
