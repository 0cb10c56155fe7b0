//! The engine against the scripted runtime, with real signed bundles and a clock that jumps.

mod bench;
mod crashes;
mod disk;
mod link;
mod relay;
mod refusals;
mod services;
mod updates;
