//! What end-to-end tests and the demo stand on: a real podman of their own, a real registry on
//! loopback, and the built `agent` and `relay`, as the operator's tool and as a server.
//!
//! Everything hangs on a [`Sandbox`]: a folder and, in tests, a network of its own, so that any
//! number of tests run side by side with the same ports and names. All of it goes when the parts
//! are dropped, also in a panic; what a killed test left goes when the next sandbox is made.
//!
//! Never touches the machine's own podman, its configuration or its networks, and never passes
//! silently when a tool is missing: that is an error that names what installs it.

#![forbid(unsafe_code)]

mod agent;
mod binaries;
pub mod http;
mod podman;
mod process;
mod registry;
mod relay;
mod sandbox;
mod server;

pub use agent::{Agent, Daemon, Running};
pub use binaries::binary;
pub use podman::PodmanService;
pub use process::{Background, Outcome, wait_until};
pub use registry::LoopbackRegistry;
pub use relay::{Keys, Pack, Relay};
pub use sandbox::Sandbox;
pub use server::RelayServer;
