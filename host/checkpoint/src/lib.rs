//! Where a stream resumes, whether it may, and the one place that moves the confirmed position.
//!
//! Two rules hold everywhere. The target's progress row is written in the same transaction as the data, so it
//! is the truth about what was applied. The slot is acknowledged only up to what that row holds, so the row
//! is never behind the slot; where it is, something was lost and nobody may carry on as if it were not.

mod resume;

use event::Lsn;
use tokio::sync::watch;

pub use resume::{Error, Slot, Stored, follows, resume};

/// The sink's end: says what is durable. There is one for each run, and it moves forward only.
#[derive(Debug)]
pub struct Confirmer {
    position: watch::Sender<Lsn>,
}

/// The listener's end and the confirmer, both at `start`. The listener sees the channel close when the
/// confirmer is dropped: no position will follow.
#[must_use]
pub fn channel(start: Lsn) -> (Confirmer, watch::Receiver<Lsn>) {
    let (position, confirmed) = watch::channel(start);
    (Confirmer { position }, confirmed)
}

impl Confirmer {
    /// Everything before `lsn` is durable in the target, and its progress row says so.
    /// A position that lies behind the last one changes nothing.
    pub fn confirm(&self, lsn: Lsn) {
        self.position.send_if_modified(|current| {
            let forward = lsn > *current;
            if forward {
                *current = lsn;
            }
            forward
        });
    }

    /// The last confirmed position.
    #[must_use]
    pub fn position(&self) -> Lsn {
        *self.position.borrow()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_confirmed_position_never_goes_back(steps in proptest::collection::vec(0_u64..100, 0..50)) {
            let (confirmer, confirmed) = channel(Lsn(50));
            let mut highest = Lsn(50);
            for step in steps {
                confirmer.confirm(Lsn(step));
                highest = highest.max(Lsn(step));
                prop_assert_eq!(*confirmed.borrow(), highest);
                prop_assert_eq!(confirmer.position(), highest);
            }
        }
    }

    #[tokio::test]
    async fn the_listener_sees_that_no_position_will_follow() {
        let (confirmer, mut confirmed) = channel(Lsn(1));
        confirmer.confirm(Lsn(2));
        drop(confirmer);
        assert!(confirmed.changed().await.is_ok());
        assert_eq!(*confirmed.borrow_and_update(), Lsn(2));
        assert!(confirmed.changed().await.is_err());
    }
}
