//! The agent's decisions, and nothing else.
//!
//! [`step()`] is the update state machine: `(state, event, now) → (state, effects)`. Around it:
//! [`admit`] (may this bundle run here?), [`resolve`] (manifest and variables → what shall run),
//! [`plan`] (what changes), [`fetch`] (which bytes of the bundle it takes), [`trial`] (did it go
//! well?), [`supervise`] (restart it when?), [`retry`] (how long to wait), [`schedule`] (when to
//! speak to the relay), [`wish`] (is a bundle of the relay to be tried?), [`record`] and [`slots`]
//! (what survives a power cut, as bytes).
//!
//! Nothing in here reads a clock, a disk, a socket or randomness, logs, or awaits: time and chance
//! are arguments. The crate builds without `std`, and its `clippy.toml` bans the rest.
#![no_std]
// Tests read golden vectors from disk; the crate itself is linted without this.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod admit;
mod app;
pub mod fetch;
#[cfg(test)]
mod fixtures;
pub mod plan;
pub mod record;
pub mod resolve;
pub mod retry;
pub mod schedule;
pub mod slots;
mod step;
pub mod supervise;
pub mod trial;
pub mod wish;

pub use app::{AppState, Cause, Generation, GenerationId, Intent, Outcome, OutcomeKind, Phase};
pub use step::{Effect, Event, Illegal, RESTORE_ATTEMPTS_MAX, TRIAL_RESTARTS_MAX, step};
