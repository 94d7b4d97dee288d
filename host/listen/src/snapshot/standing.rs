//! A standby that stands still for a moment, so that many sessions see the same.
//!
//! A snapshot cannot be handed from session to session there: an exported one forgets which transactions its primary runs as soon as
//! one of them had many subtransactions (Postgres leaves the list out, and on a standby there is no other), and an import then
//! sees half of a transaction. Nor do numbers of transactions tell anything. But while a standby replays nothing, all sessions see
//! what was committed before the position where it stands, and that alone.

use event::Lsn;
use postgres::{Client, CopyOut, Url};
use tokio::time::{Duration, Instant, sleep};
use tokio_postgres::error::SqlState;

use super::Error;
use super::moment::{APPLICATION, SETTINGS};

/// How long the replay may take to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// What makes our advisory locks ours; the other half is the session's number.
const OURS: i32 = 0x7067_7374;

/// What a transaction of the moment's begins with.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(super) async fn is_standby(client: &Client) -> Result<bool, Error> {
    let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await;
    Ok(row.map_err(Error::statement("ask whether the source is a standby"))?.get(0))
}

/// Has `client` and so many readers begin a transaction that sees what was committed before the position that is the answer.
pub(super) async fn begin(client: &Client, url: &Url, readers: usize) -> Result<(Lsn, Vec<CopyOut>), Error> {
    let mut sessions = Vec::new();
    for _ in 0..readers.max(1) {
        let session = CopyOut::connect(url, APPLICATION, &SETTINGS).await;
        sessions.push(session.map_err(lost)?);
    }
    if state(client).await? != "not paused" {
        // Somebody else has paused it, and may let it go on in the middle: then it is seen.
        return see(client, sessions).await;
    }
    // One message pauses, waits for a lock of ours, and resumes: a client that dies lets go of the lock, and leaves no standby
    // behind that stands still.
    const LOCK: &str = "SELECT pg_backend_pid(), pg_advisory_lock($1, pg_backend_pid())";
    let held = client.query_one(LOCK, &[&OURS]).await.map_err(Error::statement("hold the standby"))?;
    let pid: i32 = held.get(0);
    let other = postgres::connect(url, APPLICATION, &[]).await?;
    let message = format!(
        "SET lock_timeout = '60s'; SELECT pg_wal_replay_pause(); \
         DO $$ BEGIN PERFORM pg_advisory_lock({OURS}, {pid}); EXCEPTION WHEN lock_not_available THEN NULL; END $$; \
         SELECT pg_wal_replay_resume()"
    );
    let mut standing = std::pin::pin!(other.simple_query(&message));
    let seen = tokio::select! {
        seen = see(client, sessions) => seen,
        stood = &mut standing => return Err(stood.err().map_or(Error::Paused, right)),
    };
    const LET_GO: &str = "SELECT pg_advisory_unlock($1, $2)";
    client.query_one(LET_GO, &[&OURS, &pid]).await.map_err(Error::statement("let the standby go on"))?;
    standing.await.map_err(right)?;
    seen
}

/// Takes the snapshots once it stands.
async fn see(client: &Client, mut sessions: Vec<CopyOut>) -> Result<(Lsn, Vec<CopyOut>), Error> {
    const POSITION: &str = "SELECT pg_last_wal_replay_lsn()::text";
    let began = Instant::now();
    while state(client).await? != "paused" {
        if began.elapsed() > PATIENCE {
            return Err(Error::Paused);
        }
        sleep(LOOK).await;
    }
    client.batch_execute(BEGIN).await.map_err(Error::statement("begin the snapshot"))?;
    let position =
        client.query_one(POSITION, &[]).await.map_err(Error::statement("read the end of the log"))?;
    for session in &mut sessions {
        session.row(&format!("{BEGIN}; SELECT 1")).await.map_err(lost)?;
    }
    // Whoever lets it go on too early takes the moment away.
    let after = client.query_one(POSITION, &[]).await.map_err(Error::statement("read the end of the log"))?;
    if state(client).await? != "paused" || after.get::<_, &str>(0) != position.get::<_, &str>(0) {
        return Err(Error::Paused);
    }
    Ok((position.get::<_, &str>(0).parse().unwrap_or_default(), sessions))
}

/// `not paused`, `pause requested` or `paused`.
async fn state(client: &Client) -> Result<String, Error> {
    let row = client.query_one("SELECT pg_get_wal_replay_pause_state()", &[]).await;
    Ok(row.map_err(right)?.get(0))
}

/// An error of functions that only some may call.
fn right(error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Error::Standby,
        _ => Error::statement("pause the replay of the standby")(error),
    }
}

fn lost(failure: postgres::Failure) -> Error {
    Error::reading(&event::TableName::new("", ""), failure)
}
