//! The engine against the scripted runtime, with real signed bundles and a clock that jumps.

mod bench;
mod crashes;
mod disk;
mod link;
mod refusals;
mod relay;
mod services;
mod updates;
