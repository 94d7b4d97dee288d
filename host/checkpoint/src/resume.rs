//! Decides where a stream goes on, from what the slot and the target's progress row say.

use event::Lsn;
use miette::Diagnostic;

/// What the source says of its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// `pg_control_system().system_identifier`: which cluster this is.
    pub system_id: String,
    /// The slot's name.
    pub name: String,
    /// `confirmed_flush_lsn`: everything before it may be gone from the source.
    pub confirmed: Lsn,
}

/// What the target's progress row for a slot of that name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The cluster that the rows came from.
    pub system_id: String,
    /// Everything before it has been applied.
    pub lsn: Lsn,
    /// Digest of the modifiers that made the rows: components, rules, settings.
    pub chain: String,
}

/// Why a stream may not go on by itself. Each of them would lose or mix up rows in silence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The target was filled from another cluster.
    #[error(
        "the target holds rows of another source: slot `{slot}` was read from system {stored}, this is system {source_id}"
    )]
    #[diagnostic(
        code(checkpoint::other_system),
        help(
            "check the source URL; a second source needs a slot name of its own (source.postgres.replication.replication_slot); \
             to start over, empty the target and run `pgstream destroy` and `pgstream init`"
        )
    )]
    OtherSystem {
        /// The slot's name.
        slot: String,
        /// System id in the progress row.
        stored: String,
        /// System id of the source.
        source_id: String,
    },
    /// The slot is ahead of what was applied.
    #[error(
        "slot `{slot}` starts at {confirmed} but the target has rows only up to {applied}: the {bytes} bytes of log between them are not in the target"
    )]
    #[diagnostic(
        code(checkpoint::gap),
        help(
            "the slot was dropped, recreated or advanced by someone, or the target was restored from a backup; copy the tables again, then run `pgstream destroy` and `pgstream init`"
        )
    )]
    Gap {
        /// The slot's name.
        slot: String,
        /// Where the slot starts.
        confirmed: Lsn,
        /// Where the target ends.
        applied: Lsn,
        /// How much lies between.
        bytes: u64,
    },
    /// The source's log ends before what was applied.
    #[error(
        "the source's log ends at {written} but the target has rows up to {applied}: the source is not where it was"
    )]
    #[diagnostic(
        code(checkpoint::went_back),
        help(
            "the source was restored from a backup, or is a standby that was promoted too early; what it writes next would be taken for              old and left out: copy the tables again, then run `pgstream destroy` and `pgstream init`"
        )
    )]
    WentBack {
        /// Where the source's log ends.
        written: Lsn,
        /// Where the target ends.
        applied: Lsn,
    },
    /// The rules or components are not the ones that made the rows in the target.
    #[error("the modifiers have changed since the target was last written: {stored} then, {now} now")]
    #[diagnostic(
        code(checkpoint::chain_changed),
        help(
            "masked keys made by other rules may no longer find their rows; go back to the former rules and plugins, or run with `--accept-changed-modifiers` if old and new rows may differ"
        )
    )]
    ChainChanged {
        /// Digest in the progress row.
        stored: String,
        /// Digest of the chain in hand.
        now: String,
    },
}

/// Whether the slot has everything since a copy that was taken at `copied`.
///
/// # Errors
/// [`Error::Gap`].
pub fn follows(slot: &Slot, copied: Lsn) -> Result<(), Error> {
    if slot.confirmed <= copied {
        return Ok(());
    }
    Err(Error::Gap {
        slot: slot.name.clone(),
        confirmed: slot.confirmed,
        applied: copied,
        bytes: slot.confirmed.bytes_since(copied),
    })
}

/// The position from which the source is asked to send, given what the target has. `written` is where the source's
/// log ends, asked after the target: both move on while another process still applies.
///
/// # Errors
/// Another cluster, a gap between target and slot, a source that went back, or other modifiers than before (unless
/// `accept_changed`).
pub fn resume(
    slot: &Slot,
    written: Lsn,
    stored: Option<&Stored>,
    chain: &str,
    accept_changed: bool,
) -> Result<Lsn, Error> {
    let Some(stored) = stored else {
        return Ok(slot.confirmed);
    };
    if stored.system_id != slot.system_id {
        return Err(Error::OtherSystem {
            slot: slot.name.clone(),
            stored: stored.system_id.clone(),
            source_id: slot.system_id.clone(),
        });
    }
    follows(slot, stored.lsn)?;
    if stored.lsn > written {
        return Err(Error::WentBack { written, applied: stored.lsn });
    }
    if stored.chain != chain && !accept_changed {
        return Err(Error::ChainChanged { stored: stored.chain.clone(), now: chain.to_owned() });
    }
    Ok(stored.lsn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(confirmed: u64) -> Slot {
        Slot { system_id: "1".into(), name: "s".into(), confirmed: Lsn(confirmed) }
    }

    fn stored(lsn: u64) -> Stored {
        Stored { system_id: "1".into(), lsn: Lsn(lsn), chain: "a".into() }
    }

    #[test]
    fn a_first_run_starts_where_the_slot_does() {
        assert_eq!(resume(&slot(7), Lsn(99), None, "a", false), Ok(Lsn(7)));
    }

    #[test]
    fn a_restart_goes_on_from_what_the_target_has_not_from_the_slot() {
        assert_eq!(resume(&slot(7), Lsn(99), Some(&stored(9)), "a", false), Ok(Lsn(9)));
        assert_eq!(resume(&slot(9), Lsn(99), Some(&stored(9)), "a", false), Ok(Lsn(9)));
    }

    #[test]
    fn a_slot_ahead_of_the_target_is_a_gap_and_never_a_start() {
        assert!(matches!(
            resume(&slot(10), Lsn(99), Some(&stored(9)), "a", true),
            Err(Error::Gap { bytes: 1, .. })
        ));
    }

    #[test]
    fn a_source_whose_log_ends_before_what_was_applied_has_gone_back() {
        let back = resume(&slot(7), Lsn(8), Some(&stored(9)), "a", true);
        assert_eq!(back, Err(Error::WentBack { written: Lsn(8), applied: Lsn(9) }));
    }

    #[test]
    fn another_cluster_is_refused() {
        let other = Stored { system_id: "2".into(), ..stored(9) };
        assert!(matches!(resume(&slot(7), Lsn(99), Some(&other), "a", true), Err(Error::OtherSystem { .. })));
    }

    #[test]
    fn other_modifiers_are_refused_unless_accepted() {
        assert!(matches!(
            resume(&slot(7), Lsn(99), Some(&stored(9)), "b", false),
            Err(Error::ChainChanged { .. })
        ));
        assert_eq!(resume(&slot(7), Lsn(99), Some(&stored(9)), "b", true), Ok(Lsn(9)));
    }
}
