//! The operator's commands against a real `relay serve`, as processes: what people type and what
//! scripts read.

#![allow(clippy::unwrap_used, clippy::panic)] // a helper that fails fails its test

mod commands;
#[allow(dead_code, reason = "the server's tests use the rest")]
#[path = "../server/device.rs"]
mod device;
mod fleet;
#[allow(dead_code, reason = "the tool's tests use the rest")]
#[path = "../tool/image.rs"]
mod image;
mod recover;
mod refused;
#[allow(dead_code, reason = "the tool's tests use the rest")]
#[path = "../tool/run.rs"]
mod run;
mod serve;
#[allow(dead_code, reason = "the server's tests use the rest")]
#[path = "../server/server.rs"]
mod server;
