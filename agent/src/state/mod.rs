//! What the agent keeps on its disk, below `state_dir`.
//!
//! | path | what | written |
//! |---|---|---|
//! | `state.a`, `state.b` | the record, [`StateFile`] | at each durable step of an update |
//! | `objects/` | what the record names by digest, [`Objects`] | before it is named |
//! | `staging/` | imports under way, [`Intents`] | around each import |
//! | `files/` | configuration files, as containers mount them | while staging |
//! | `volumes/` | copies of volumes for a rollback | while switching |
//! | `reports/` | what the relay does not know yet, [`Reports`] | when something is reported |
//! | `evidence/` | what a failed generation left behind, [`EvidenceFiles`] | before it is cleared away |
//! | `spool/` | bundles on their way in, [`Spool`] | while fetching |
//! | `history.jsonl` | how updates ended, [`History`] | when one ends |
//! | `device.key` | the device's own key | once, before it is enrolled |
//! | `relay.jsonl` | what ties it to its relay, [`LinkFile`] | when that changes |
//! | `lock` | held by the one process that may write | at its start |
//!
//! Never decides what a record says: `agent-core` does. Nothing is written while nothing happens.

mod binding;
mod evidence;
mod file;
mod history;
mod intents;
mod link;
mod lock;
mod objects;
mod reports;
mod sealed;
mod spool;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod vfs;

pub(crate) use binding::bindings;
pub(crate) use evidence::EvidenceFiles;
pub(crate) use file::{Opened, StateError, StateFile};
pub(crate) use history::{CAUSE_BYTES_MAX, History};
pub(crate) use intents::{Intent, Intents};
pub(crate) use link::{LinkFile, LinkRecord, Rollout, Wait};
pub(crate) use lock::{Lock, LockError};
pub(crate) use objects::Objects;
pub(crate) use reports::{Importance, Reports};
pub(crate) use spool::Spool;
