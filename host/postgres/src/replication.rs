//! A replication connection: the part of the protocol that the SQL driver does not speak.
//!
//! The caller drives it: [`Replication::next`] takes messages out of what has been read, [`Replication::fill`] reads
//! more. So whoever collects rows decides when the socket is read, and a fast stream is read in large pieces instead of
//! row by row. See <https://www.postgresql.org/docs/current/protocol-replication.html>.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes};
use event::Lsn;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;

use crate::Url;
use crate::wire::{Failure, Parameters, Wire, server_failure, unexpected};

/// Postgres counts microseconds from 2000-01-01.
const EPOCH: Duration = Duration::from_secs(946_684_800);

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

/// A connection in replication mode.
#[derive(Debug)]
pub struct Replication {
    wire: Wire,
}

impl Replication {
    /// Connects to the URL's database with pinned settings. `application` is what `pg_stat_activity` shows.
    ///
    /// # Errors
    /// An unreachable server, TLS that cannot be set up, a refused login.
    pub async fn connect(url: &Url, application: &str) -> Result<Self, Failure> {
        let parameters = Parameters { application, replication: true, settings: &[] };
        Ok(Self { wire: Wire::connect(url, &parameters).await? })
    }

    /// The first row that a command answers, as text.
    ///
    /// # Errors
    /// What the server says.
    pub async fn row(&mut self, command: &str) -> Result<Vec<Option<String>>, Failure> {
        self.wire.row(command).await?.ok_or_else(|| unexpected("a command"))
    }

    /// Starts the stream; from now on there is only [`Replication::next`].
    ///
    /// # Errors
    /// What the server says.
    pub async fn stream(&mut self, command: &str) -> Result<(), Failure> {
        self.wire.start(command, b'W', "START_REPLICATION").await
    }

    /// A message that has been read already, if there is one.
    ///
    /// # Errors
    /// The end of the stream, and what the server says about it.
    #[allow(clippy::should_implement_trait, reason = "an iterator does not end and then go on")]
    pub fn next(&mut self) -> Result<Option<Message>, Failure> {
        while let Some((tag, mut body)) = self.wire.raw()? {
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
                (b'N', _) if leaves_out(&body) => return Err(server_failure(&body)),
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
        self.wire.fill(true).await
    }

    /// From now until the next read or write, nothing that arrives wakes anybody.
    ///
    /// # Errors
    /// A socket that is broken.
    pub fn pause(&mut self) -> Result<(), Failure> {
        self.wire.pause()
    }

    /// Tells the server that everything before `confirmed` is done, and `asks` where it is.
    ///
    /// # Errors
    /// A socket that is closed or broken.
    pub async fn confirm(&mut self, confirmed: Lsn, asks: bool) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(EPOCH);
        self.wire.output.put_u8(b'd');
        self.wire.output.put_i32(4 + 34);
        self.wire.output.put_u8(b'r');
        for _written_flushed_applied in 0..3 {
            self.wire.output.put_u64(confirmed.0);
        }
        self.wire.output.put_i64(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        self.wire.output.put_u8(u8::from(asks));
        self.wire.flush().await
    }

    /// Ends the stream and says goodbye.
    ///
    /// # Errors
    /// A socket that is closed or broken.
    pub async fn close(&mut self) -> Result<(), Failure> {
        frontend::copy_done(&mut self.wire.output);
        frontend::terminate(&mut self.wire.output);
        self.wire.flush().await?;
        Ok(self.wire.socket.shutdown().await?)
    }
}

/// Whether a notice tells that changes are not sent. Since Postgres 18 the stream goes on without a publication that does not
/// exist at its place in the log, with this warning; before, that was an error.
fn leaves_out(notice: &[u8]) -> bool {
    let mut fields = notice.split(|byte| *byte == 0);
    // In the server's own words, not in the session's language: severity, and object_not_in_prerequisite_state.
    fields.clone().any(|field| field == b"VWARNING") && fields.any(|field| field == b"C55000")
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio::net::UnixStream;

    use super::*;
    use crate::drowsy::Drowsy;

    fn reading(bytes: &[u8]) -> Replication {
        let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = Drowsy::new(UnixStream::from_std(socket).unwrap());
        let wire = Wire { socket: Box::new(socket), input: BytesMut::from(bytes), output: BytesMut::new() };
        Replication { wire }
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
                connection.wire.input.extend_from_slice(rest);
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
    async fn a_warning_that_changes_are_left_out_ends_the_stream() {
        let warning = b"SWARNUNG\0VWARNING\0C55000\0Mskipped loading publication\0\0";
        let failure = reading(&message(b'N', warning)).next().unwrap_err();
        assert!(matches!(failure, Failure::Server { sqlstate, .. } if sqlstate == "55000"));
        let other = b"SWARNING\0VWARNING\0C01000\0Mother\0\0";
        assert_eq!(reading(&message(b'N', other)).next().unwrap(), None);
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
