//! The operator's commands against a real `relay serve`, as processes: what people type and what
//! scripts read.

#![allow(clippy::unwrap_used)] // a helper that fails fails its test

mod commands;
#[allow(dead_code, reason = "the tool's tests use the rest")]
#[path = "../tool/image.rs"]
mod image;
mod refused;
#[allow(dead_code, reason = "the tool's tests use the rest")]
#[path = "../tool/run.rs"]
mod run;
mod serve;
