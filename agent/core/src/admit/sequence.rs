//! Does a bundle move the app forward?
//!
//! Never changes a floor: only a commit does ([`crate::step()`]).

use super::NotAdmitted;
use crate::app::{AppState, Generation, Phase};

/// How a bundle stands to what the device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It may become the next generation.
    New,
    /// It is what runs, with the same settings: nothing to do.
    AlreadyCurrent,
    /// It is on its way in, with the same settings: wait for the end of that.
    UnderWay,
}

/// Whether `offered` (its `id` does not matter) may become the next generation of the app.
///
/// 1. What runs already, or is on its way in, is no news.
/// 2. The epoch is at or above the floor, whatever else holds.
/// 3. The bundle that runs may come with other settings, also after a rollback.
/// 4. The sequence number is above the highest that was ever committed, or equal to it with the
///    digest of the bundle that was committed under it, as far as the device still holds that: so
///    what was rolled back or removed can come again, but nothing else under its number.
///
/// # Errors
/// [`NotAdmitted::Epoch`], [`NotAdmitted::Sequence`] or [`NotAdmitted::SameSequence`].
pub fn sequence(app: &AppState, offered: &Generation) -> Result<Admitted, NotAdmitted> {
    let same = |known: Option<Generation>| known.is_some_and(|known| known.same_content(offered));
    if app.phase == Phase::Idle && same(app.current) {
        return Ok(Admitted::AlreadyCurrent);
    }
    if same(app.incoming()) {
        return Ok(Admitted::UnderWay);
    }
    if offered.epoch < app.epoch_floor {
        return Err(NotAdmitted::Epoch {
            wanted: app.epoch_floor,
            found: offered.epoch,
        });
    }
    let held = || [app.current, app.previous].into_iter().flatten();
    let runs = app
        .current
        .is_some_and(|current| current.bundle == offered.bundle);
    let never_committed = app.seq_floor == 0 && held().next().is_none();
    if runs || never_committed || offered.seq > app.seq_floor {
        return Ok(Admitted::New);
    }
    if offered.seq < app.seq_floor {
        return Err(NotAdmitted::Sequence {
            wanted: app.seq_floor.saturating_add(1),
            found: offered.seq,
        });
    }
    let committed = held()
        .find(|held| held.seq == offered.seq)
        .map(|held| held.bundle);
    if committed == Some(offered.bundle) {
        return Ok(Admitted::New);
    }
    Err(NotAdmitted::SameSequence {
        seq: offered.seq,
        wanted: committed,
        found: offered.bundle,
    })
}
