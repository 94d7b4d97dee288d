//! A TCP proxy before a server, with the faults of a network: it cuts, it delays, it swallows.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::{Error, Result};

/// What the proxy does with bytes and with new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Passes everything on.
    #[default]
    Works,
    /// Passes everything on, later.
    Slow(Duration),
    /// Takes everything and passes nothing on; connections stay open.
    Silent,
    /// Passes everything on but what a reader of a log confirms.
    Unconfirmed,
    /// Refuses connections.
    Refuses,
}

/// A proxy on 127.0.0.1. Dropped, it closes everything.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    /// Counts the cuts; a connection of an earlier count ends.
    cuts: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy to a port on 127.0.0.1; it is driven by the current runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when there is no port.
    pub async fn start(to: u16) -> Result<Self> {
        let failed = |error: std::io::Error| Error::Program {
            program: "the proxy".to_owned(),
            status: "an error".to_owned(),
            output: error.to_string(),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let (network, cuts) = (watch::Sender::default(), watch::Sender::default());
        let task = tokio::spawn(accept(listener, to, network.subscribe(), cuts.subscribe()));
        Ok(Self { port, network, cuts, task })
    }

    /// The URL with this proxy in the place of the server.
    pub fn before(&self, url: &str) -> String {
        let (start, end) = url.rsplit_once("@127.0.0.1:").unwrap_or(("", url));
        let database = end.split_once('/').map_or("", |(_, database)| database);
        format!("{start}@127.0.0.1:{}/{database}", self.port)
    }

    /// From now on.
    pub fn becomes(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// Closes every connection, in the middle of whatever it carries.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    to: u16,
    network: watch::Receiver<Network>,
    cuts: watch::Receiver<u64>,
) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                if *network.borrow() == Network::Refuses {
                    continue;
                }
                let network = network.clone();
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                connections.spawn(async move {
                    tokio::select! {
                        () = carry(client, to, network) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(client: TcpStream, to: u16, network: watch::Receiver<Network>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let network = Arc::new(network);
    tokio::select! {
        () = copy(client_reads, server_writes, &network, true) => {}
        () = copy(server_reads, client_writes, &network, false) => {}
    }
}

/// Bytes of one direction, until one end is closed.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    network: &watch::Receiver<Network>,
    to_server: bool,
) {
    let mut network = network.clone();
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let now = *network.borrow_and_update();
        match now {
            Network::Unconfirmed if to_server && confirms(bytes.get(..count).unwrap_or_default()) => continue,
            Network::Works | Network::Refuses | Network::Unconfirmed => {}
            Network::Slow(delay) => tokio::time::sleep(delay).await,
            Network::Silent => {
                // What was swallowed is gone: a connection must not go on with a gap in it.
                let _changed = network.wait_for(|network| *network != Network::Silent).await;
                return;
            }
        }
        if to.write_all(bytes.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

/// Whether these bytes are status updates of a standby, one or more: a `CopyData` of 34 bytes that begin with `r`.
/// See <https://www.postgresql.org/docs/current/protocol-replication.html>.
fn confirms(bytes: &[u8]) -> bool {
    bytes.chunks(39).all(|update| update.len() == 39 && update.starts_with(&[b'd', 0, 0, 0, 38, b'r']))
}
