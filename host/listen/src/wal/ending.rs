//! The end of a stream: what the server must have stored before nobody reads the slot any more.

use std::time::Duration;

use event::Lsn;
use postgres::Client;
use tokio::time::timeout;

use crate::wal::server::Server;
use crate::wal::slot;

/// How long the end of the session may take, step by step.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
/// How often the slot is looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until the slot holds the position.
pub(crate) async fn arrives(client: &Client, server: &Server, slot: &str, last: Lsn) -> bool {
    let looks = async {
        loop {
            if let Ok(Some(found)) = slot::find(client, server, slot).await
                && found.confirmed.is_some_and(|confirmed| confirmed >= last)
            {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(FAREWELL, looks).await.is_ok()
}

/// Waits until nobody reads the slot: the next run must find it free.
pub(crate) async fn is_released(client: &Client, server: &Server, slot: &str) -> bool {
    let looks = async {
        while let Ok(Some(found)) = slot::find(client, server, slot).await
            && found.active_pid.is_some()
        {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(FAREWELL, looks).await.is_ok()
}
