//! The engine against the scripted runtime, with real signed bundles and a clock that jumps.

mod bench;
mod crashes;
mod disk;
mod fetching;
mod link;
mod refusals;
mod relay;
mod report_crashes;
mod reporting;
mod reports;
mod server;
mod services;
mod small_disk;
mod updates;
