//! `init` and `destroy`: what a source needs for a stream, made once and taken away without a trace.

use std::fmt;
use std::time::Duration;

use postgres::Client;
use tokio::time::Instant;

use crate::wal::tracking::Tracking;
use crate::wal::{Error, Options, SCHEMA, migrate, publication, role, server, slot, tracking};

/// Which parts `init` and `destroy` care for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// Schema, publication and slot.
    #[default]
    All,
    /// The schema `pgstream` with its migrations.
    Migrations,
    /// The slot and the publication that it reads.
    Slot,
}

/// What an action was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The schema `pgstream`.
    Schema,
    /// One migration in it.
    Migration(String),
    /// The event triggers that note every change of the schema.
    Tracking,
    /// The publication of that name.
    Publication(String),
    /// The slot of that name.
    Slot(String),
    /// Objects that are not followed, by kind and name.
    Others(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema => write!(f, "schema `{SCHEMA}`"),
            Self::Migration(name) => write!(f, "migration `{name}`"),
            Self::Tracking => f.write_str("schema tracking"),
            Self::Publication(name) => write!(f, "publication `{name}`"),
            Self::Slot(name) => write!(f, "replication slot `{name}`"),
            Self::Others(names) => f.write_str(names),
        }
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made now.
    Created,
    /// It was there, and as it should be.
    AlreadyThere,
    /// It was removed now.
    Removed,
    /// There was nothing to remove.
    NotThere,
    /// It was left alone, for this reason.
    Kept(String),
    /// It could not be made, for this reason; the rest works without it.
    NotMade(String),
    /// The stream does not make it on a target.
    NotFollowed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("created"),
            Self::AlreadyThere => f.write_str("already there"),
            Self::Removed => f.write_str("removed"),
            Self::NotThere => f.write_str("not there"),
            Self::Kept(reason) => write!(f, "kept: {reason}"),
            Self::NotMade(reason) => write!(f, "not made: {reason}"),
            Self::NotFollowed => f.write_str("not followed: what needs it needs it on the target too"),
        }
    }
}

/// One thing that `init` or `destroy` did or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it was about.
    pub subject: Subject,
    /// What became of it.
    pub outcome: Outcome,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.outcome)
    }
}

fn action(subject: Subject, outcome: Outcome) -> Action {
    Action { subject, outcome }
}

/// Makes what is missing in the source, and says of each part whether it was there. May be repeated.
///
/// # Errors
/// A server that is too old or not set up for slots, missing rights, no free slot, a slot of that name that is
/// another's, tables whose updates a publication would stop.
pub async fn init(options: &Options, parts: Parts) -> Result<Vec<Action>, Error> {
    options.check()?;
    let mut client = server::connect(options).await?;
    let server = server::describe(&client).await?;
    server.check()?;
    role::check_replication(&client).await?;
    // Two `init` at once do not meet: a slot that is being made looks like somebody else's. Held until the session ends.
    client.execute(migrate::LOCK_SESSION, &[]).await.map_err(Error::statement("wait for another `init`"))?;
    let mut actions = Vec::new();
    if parts != Parts::Slot {
        for (migration, applied) in migrate::apply(&mut client, &options.url.database).await? {
            let subject = Subject::Migration(format!("{:04}_{}", migration.number, migration.name));
            actions.push(action(subject, if applied { Outcome::Created } else { Outcome::AlreadyThere }));
        }
        fault::here!("init-migrated");
        let outcome = track(&mut client).await?;
        actions.push(action(Subject::Tracking, outcome));
        fault::here!("init-tracked");
    }
    if parts != Parts::Migrations {
        actions.extend(publish(&client, &server, options).await?);
    }
    // Last: what was being defined when the triggers came is in the slot's past by now, and in the catalog.
    if parts != Parts::Slot && actions.iter().any(|action| action.outcome != Outcome::AlreadyThere) {
        tracking::refresh(&client).await?;
        fault::here!("init-refreshed");
    }
    if parts != Parts::Slot {
        let others = tracking::others(&client).await?;
        actions.extend(others.into_iter().map(|names| action(Subject::Others(names), Outcome::NotFollowed)));
    }
    Ok(actions)
}

/// The event triggers, where the role may make them.
async fn track(client: &mut Client) -> Result<Outcome, Error> {
    if tracking::find(client).await? == Tracking::Full {
        return Ok(Outcome::AlreadyThere);
    }
    match tracking::create(client).await? {
        Tracking::Full => Ok(Outcome::Created),
        Tracking::Reduced => Ok(Outcome::NotMade(
            "event triggers take a superuser; of schema changes only columns that come, go or change their type are seen"
                .to_owned(),
        )),
    }
}

/// The publication, then the slot: to a slot, what is made after it exists only from then on.
async fn publish(client: &Client, server: &server::Server, options: &Options) -> Result<Vec<Action>, Error> {
    let mut actions = Vec::new();
    let subject = Subject::Publication(options.publication.clone());
    let outcome = match publication::find(client, &options.publication).await? {
        Some(_) => Outcome::AlreadyThere,
        None => {
            publication::create(client, options).await?;
            Outcome::Created
        }
    };
    actions.push(action(subject, outcome));
    fault::here!("init-published");
    let subject = Subject::Slot(options.slot.clone());
    let found = slot::find(client, server, &options.slot).await?;
    let outcome = if found.is_some() { Outcome::AlreadyThere } else { Outcome::Created };
    if found.is_none() {
        slot::create(client, &options.slot).await?;
        fault::here!("init-slot-created");
    }
    // Also one that was just made: another `init` may have been quicker.
    let slot = slot::find(client, server, &options.slot).await?;
    slot.ok_or_else(|| Error::NoSlot { slot: options.slot.clone() })?.check(options)?;
    actions.push(action(subject, outcome));
    Ok(actions)
}

/// How `destroy` goes about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct DestroyOptions {
    /// Which parts.
    pub parts: Parts,
    /// How long a slot that is being read is waited for.
    pub wait: Duration,
}

/// Removes what `init` made. What others made is left alone: a publication made by hand, tables in schema
/// `pgstream` that belong to a pipeline with this database as its target. May be repeated.
///
/// # Errors
/// [`Error::SlotActive`] while the slot is being read, missing rights, a slot that is another's.
pub async fn destroy(options: &Options, how: DestroyOptions) -> Result<Vec<Action>, Error> {
    options.check()?;
    let mut client = server::connect(options).await?;
    let server = server::describe(&client).await?;
    let mut actions = Vec::new();
    if how.parts != Parts::Migrations {
        let subject = Subject::Slot(options.slot.clone());
        let outcome = remove_slot(&client, &server, options, how.wait).await?;
        fault::here!("destroy-slot-removed");
        actions.push(action(subject, outcome));
        // What a process left that was killed while it copied tables.
        let beside = options.beside();
        if remove_slot(&client, &server, &beside, how.wait).await? == Outcome::Removed {
            actions.push(action(Subject::Slot(beside.slot), Outcome::Removed));
        }
        let subject = Subject::Publication(options.publication.clone());
        let outcome = match publication::find(&client, &options.publication).await? {
            None => Outcome::NotThere,
            Some(publication) if !publication.ours => {
                Outcome::Kept("it was not made by `pgstream init`".to_owned())
            }
            Some(_) => {
                publication::drop(&client, &options.publication).await?;
                fault::here!("destroy-publication-removed");
                Outcome::Removed
            }
        };
        actions.push(action(subject, outcome));
    }
    if how.parts != Parts::Slot {
        let outcome = match migrate::undo(&mut client).await? {
            migrate::Left::WasMissing => Outcome::NotThere,
            migrate::Left::Nothing => Outcome::Removed,
            migrate::Left::Tables(tables) => {
                Outcome::Kept(format!("others use it for {}", tables.join(", ")))
            }
        };
        actions.push(action(Subject::Schema, outcome));
    }
    Ok(actions)
}

pub(crate) async fn remove_slot(
    client: &Client,
    server: &server::Server,
    options: &Options,
    wait: Duration,
) -> Result<Outcome, Error> {
    let deadline = Instant::now() + wait;
    loop {
        let Some(found) = slot::find(client, server, &options.slot).await? else {
            return Ok(Outcome::NotThere);
        };
        match found.check(options) {
            // A lost slot is one more reason to remove it.
            Ok(()) | Err(Error::SlotLost { .. }) => {}
            Err(other) => return Err(other),
        }
        match found.active_pid {
            None => {
                slot::drop(client, &options.slot).await?;
                return Ok(Outcome::Removed);
            }
            Some(pid) if Instant::now() >= deadline => {
                return Err(slot::active(client, &options.slot, pid).await);
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
