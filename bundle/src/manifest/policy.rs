//! How an update is tried, and when it counts as failed.
//!
//! Never decides: `agent-core` judges by it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::VolumeName;
use crate::bounded::list;
use crate::limits::LIST_MAX;

/// The signed policy of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How long the new generation must run well before it is committed, in seconds. The trial
    /// begins when the last service has started.
    pub trial_s: u32,
    /// How long services with a health check may take to become healthy, in seconds, counted
    /// from the start of the trial. At least `trial_s`.
    pub healthy_within_s: u32,
    /// How many restarts of one service within the trial still count as well.
    pub restarts_max: u8,
    /// How containers are replaced.
    pub switch: SwitchMode,
    /// Most bytes a second while fetching; none means no limit.
    pub fetch_bytes_per_s_max: Option<u64>,
    /// Volumes that are copied before the switch and put back by a rollback.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub restore_on_rollback: Vec<VolumeName>,
}

/// How the containers of a service are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SwitchMode {
    /// Stop the old, then start the new.
    StopFirst,
    /// Start the new, then stop the old: no gap, but both run for a moment.
    StartFirst,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            trial_s: 60,
            healthy_within_s: 120,
            restarts_max: 0,
            switch: SwitchMode::StopFirst,
            fetch_bytes_per_s_max: None,
            restore_on_rollback: Vec::new(),
        }
    }
}
