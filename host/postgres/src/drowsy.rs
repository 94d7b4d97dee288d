//! A socket that can be left alone for a while: nothing wakes anybody when bytes arrive.
//!
//! The runtime is told of every packet that arrives at a socket which it watches, even while nobody waits for it. A
//! server that sends a row a packet then pays for waking us each time, and we for being woken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A socket that the runtime watches, and the same without it.
pub(crate) trait Watched: AsyncRead + AsyncWrite + Send + Unpin + Sized {
    type Unwatched: Send + Unpin;
    fn unwatch(self) -> io::Result<Self::Unwatched>;
    fn watch(unwatched: Self::Unwatched) -> io::Result<Self>;
}

impl Watched for TcpStream {
    type Unwatched = std::net::TcpStream;

    fn unwatch(self) -> io::Result<Self::Unwatched> {
        self.into_std()
    }

    fn watch(unwatched: Self::Unwatched) -> io::Result<Self> {
        Self::from_std(unwatched)
    }
}

impl Watched for UnixStream {
    type Unwatched = std::os::unix::net::UnixStream;

    fn unwatch(self) -> io::Result<Self::Unwatched> {
        self.into_std()
    }

    fn watch(unwatched: Self::Unwatched) -> io::Result<Self> {
        Self::from_std(unwatched)
    }
}

/// The socket. Reading or writing wakes it.
pub(crate) struct Drowsy<S: Watched> {
    awake: Option<S>,
    asleep: Option<S::Unwatched>,
}

impl<S: Watched> Drowsy<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self { awake: Some(socket), asleep: None }
    }

    /// Leaves the socket alone until it is read or written.
    pub(crate) fn sleep(&mut self) -> io::Result<()> {
        if let Some(socket) = self.awake.take() {
            self.asleep = Some(socket.unwatch()?);
        }
        Ok(())
    }

    fn socket(&mut self) -> io::Result<Pin<&mut S>> {
        if let Some(socket) = self.asleep.take() {
            self.awake = Some(S::watch(socket)?);
        }
        // Gone only if the runtime refused to watch it: the connection ends with that.
        self.awake.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: Watched> AsyncRead for Drowsy<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_read(cx, buf)
    }
}

impl<S: Watched> AsyncWrite for Drowsy<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().socket()?.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_arrives_while_it_sleeps_is_read_afterwards() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut near = Drowsy::new(near);
        let mut got = [0; 3];
        for sent in [b"one", b"two"] {
            near.sleep().unwrap();
            near.sleep().unwrap();
            far.write_all(sent).await.unwrap();
            near.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, sent);
        }
        near.sleep().unwrap();
        near.write_all(b"hey").await.unwrap();
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hey");
        near.sleep().unwrap();
        drop(far);
        assert_eq!(near.read(&mut got).await.unwrap(), 0, "the end is seen too");
    }
}
