//! The device's side of the relay's check-in: what it says, what it learns, and when.
//!
//! Nothing that comes from a relay runs unless a release key has signed it, and a relay that is
//! away changes nothing here.

use super::Engine;

impl Engine {
    /// Whether this device belongs to a relay.
    pub(crate) fn is_enrolled(&self) -> bool {
        #[cfg(test)]
        if self.enrolled.get() {
            return true;
        }
        false
    }

    /// There is something to tell the relay: it is told soon, where there is one.
    pub(crate) fn nudge(&self) {
        // One that waits already is enough.
        let _ = self.nudges.0.try_send(());
    }
}
