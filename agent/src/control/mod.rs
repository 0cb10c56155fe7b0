//! The control socket: how the command line asks a running daemon.
//!
//! A Unix stream socket, mode 0600, whose peers must be root or the daemon's own user. A client
//! sends one line and keeps the connection open until it has the last one:
//!
//! ```text
//! → {"request": …}
//! ← {"update": …}     any number of times
//! ← {"reply": …}      or {"failure": …}; then the daemon closes the connection
//! ```
//!
//! Every line is one JSON object, ended by a line feed and at most [`LINE_BYTES_MAX`] long. A
//! client that goes away stops its own wait and nothing else. Never decides anything: requests go
//! to a [`Handler`].

mod client;
mod error;
mod lines;
mod server;

use std::future::Future;

use serde::{Deserialize, Serialize};

pub use client::Client;
pub use error::ControlError;
pub use server::Server;

use crate::api::{Failure, Reply, Request, Update};

/// Most bytes of a line: the status of 12 apps with 64 services each takes 250 KiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Most connections at a time.
pub const CONNECTIONS_MAX: usize = 16;

/// Whoever does what is asked.
pub trait Handler {
    /// Does what is asked; `updates` hears what happens on the way. Dropping the future stops the
    /// wait only.
    fn handle(
        &self,
        request: Request,
        updates: &dyn Fn(Update),
    ) -> impl Future<Output = Result<Reply, Failure>>;
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromClient {
    Request(Request),
}

/// What the daemon sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromDaemon {
    Update(Update),
    Reply(Reply),
    Failure(Failure),
}

/// The message as a line.
fn line(message: &impl Serialize) -> Result<Vec<u8>, ControlError> {
    let mut line = serde_json::to_vec(message).map_err(ControlError::Json)?;
    line.push(b'\n');
    if line.len() > LINE_BYTES_MAX {
        Err(ControlError::TooLong)
    } else {
        Ok(line)
    }
}

#[cfg(test)]
mod tests;
