//! The `relay` program as a person or a script uses it: real files in, exit codes and bytes out.

#![allow(clippy::unwrap_used)] // a helper that fails fails its test

mod bundles;
mod image;
mod keys;
mod pack;
mod run;
mod services;
mod sources;
mod tls;
