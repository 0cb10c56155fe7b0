//! The engine against the scripted runtime, with real signed bundles and a clock that jumps.

mod bench;
mod crashes;
mod disk;
mod refusals;
mod relay;
mod report_crashes;
mod reports;
mod services;
mod updates;
