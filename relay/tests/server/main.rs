//! `relay serve` as devices and operators meet it: the built program as a process, real TLS, real
//! signatures, and everything that people and networks do wrong.

#![allow(clippy::unwrap_used, clippy::panic)] // a helper that fails fails its test

mod bundles;
mod crash;
mod device;
mod disk;
mod enrolment;
mod flow;
mod hostile;
#[allow(dead_code, reason = "shared with the tests of the command line")]
#[path = "../tool/image.rs"]
mod image;
mod operators;
mod poll;
mod process;
mod reports;
#[allow(dead_code, reason = "shared with the tests of the command line")]
#[path = "../tool/run.rs"]
mod run;
mod server;
