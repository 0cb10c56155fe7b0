//! What the agent remembers of an app: its generations, its phase, its security floors.
//!
//! Fixed-size facts only; all of it is in the A/B record. Never holds a manifest: generations
//! name it by digest.

use core::fmt;

use bundle::{AppName, Digest};

/// The number of a generation of an app on this device: 1, 2, 3, …; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationId(pub u32);

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A version of an app with the settings of this device: what can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub id: GenerationId,
    /// The `seq` of its bundle.
    pub seq: u64,
    /// The `epoch` of its bundle.
    pub epoch: u64,
    /// The digest of its bundle, under which the signed head is stored.
    pub bundle: Digest,
    /// The digest of its variables' values, under which these are stored.
    pub variables: Digest,
}

impl Generation {
    /// Whether both run the same bundle with the same settings.
    pub fn same_content(&self, other: &Self) -> bool {
        self.bundle == other.bundle && self.variables == other.variables
    }
}

/// Why a generation is on its way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A bundle was offered, or settings changed.
    Update,
    /// Somebody asked to return to the previous generation.
    Rollback,
}

/// Why something did not go well; fixed-size, so that it fits the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The images could not be brought in: the runtime's fault.
    StageRuntime,
    /// The bundle could not be read, or its bytes changed under our hands.
    StageSource,
    /// No space left.
    NoSpace,
    /// The runtime failed while containers were replaced.
    SwitchRuntime,
    /// A service exited in its trial.
    Crashed {
        /// Its place in the manifest.
        service: u8,
        /// Its exit code.
        exit_code: i32,
    },
    /// A service's health check failed in its trial, or never passed in time.
    Unhealthy {
        /// Its place in the manifest.
        service: u8,
    },
    /// What a service depends on did not come about in time.
    Dependency {
        /// The place of the service that waited.
        service: u8,
    },
    /// The device or the agent restarted too often during the trial.
    Interrupted,
    /// The runtime failed while the previous generation was restored.
    RestoreRuntime,
    /// Somebody asked for it.
    Operator,
    /// A newer bundle took its place before it had started.
    Superseded,
}

/// Where an app is on its way from one generation to the next.
///
/// Each phase owns what belongs to it. `Staging` alone is not durable: a crash in it leaves the
/// record as it was, and the half-done import is undone at the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing under way.
    Idle,
    /// Images and files of `incoming` are being brought in; nothing has been stopped.
    Staging {
        /// The generation on its way in.
        incoming: Generation,
        /// Why.
        intent: Intent,
    },
    /// All of `incoming` is on the device; waiting for leave (locks, windows).
    Staged {
        /// The generation on its way in.
        incoming: Generation,
        /// Why.
        intent: Intent,
    },
    /// Containers are being replaced.
    Switching {
        /// The generation on its way in.
        incoming: Generation,
        /// Why.
        intent: Intent,
        /// How often the device or the agent has restarted since the switch began.
        restarts: u8,
    },
    /// `incoming` runs and is being watched.
    Trial {
        /// The generation on trial.
        incoming: Generation,
        /// Why it came.
        intent: Intent,
        /// How often the device or the agent has restarted since the switch began.
        restarts: u8,
    },
    /// The generation before is being restored.
    RollingBack {
        /// The generation that failed.
        failed: Generation,
        /// Why it failed.
        cause: Cause,
        /// How often restoring has failed.
        attempts: u8,
    },
    /// Restoring failed too often; it is still tried, ever more rarely.
    Broken {
        /// The generation that failed.
        failed: Generation,
        /// Why restoring failed.
        cause: Cause,
    },
    /// All containers of the app are being removed.
    Removing,
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How.
    pub kind: OutcomeKind,
    /// The generation that it was about.
    pub generation: Generation,
    /// When: seconds since 1970-01-01 UTC, as far as the device knows.
    pub at: u64,
}

/// How an update ended, in kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeKind {
    /// It passed its trial and is now the current generation.
    Committed(Intent),
    /// It failed before anything was stopped.
    Failed(Cause),
    /// It failed, and the generation before runs again.
    RolledBack(Cause),
    /// It failed, and so did restoring.
    RollbackFailed(Cause),
    /// The app was removed.
    Removed,
}

/// What the agent remembers of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppState {
    /// Its name.
    pub name: AppName,
    /// Where it is.
    pub phase: Phase,
    /// The committed generation; none before the first, and after a removal.
    pub current: Option<Generation>,
    /// The generation before, kept so that the device can return to it.
    pub previous: Option<Generation>,
    /// The number that the next generation gets.
    pub next_generation: GenerationId,
    /// The highest `seq` ever committed. Never falls.
    pub seq_floor: u64,
    /// The highest `epoch` ever committed. Never falls.
    pub epoch_floor: u64,
    /// How the last update ended, so that a crash before it is reported does not lose it. None
    /// from the end of staging to the next outcome: by then it has been reported.
    pub last: Option<Outcome>,
}

impl AppState {
    /// An app that this device has never had.
    pub fn new(name: AppName) -> Self {
        Self {
            name,
            phase: Phase::Idle,
            current: None,
            previous: None,
            next_generation: GenerationId(1),
            seq_floor: 0,
            epoch_floor: 0,
            last: None,
        }
    }

    /// The generation on its way in, if there is one.
    pub fn incoming(&self) -> Option<Generation> {
        match self.phase {
            Phase::Staging { incoming, .. }
            | Phase::Staged { incoming, .. }
            | Phase::Switching { incoming, .. }
            | Phase::Trial { incoming, .. } => Some(incoming),
            _ => None,
        }
    }

    /// This state as the record keeps it: a staging app is written as it was before.
    pub fn durable(&self) -> Self {
        let mut durable = self.clone();
        match durable.phase {
            Phase::Idle | Phase::Broken { .. } | Phase::Removing => {}
            Phase::Staging { .. } => durable.phase = Phase::Idle,
            _ => durable.last = None,
        }
        durable
    }
}
