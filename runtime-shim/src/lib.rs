//! One [`Runtime`] trait over the container runtimes that devices ship.
//!
//! `podman/` speaks libpod REST over its socket, `fake/` is scripted and lives in memory; both
//! pass the one contract suite in `tests/`. containerd comes behind the same trait.
//!
//! This crate never decides what should run, never verifies bundles, and keeps no state of its
//! own on disk; it never shells out.

mod container;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod image;
mod open;
#[cfg(feature = "podman")]
pub mod podman;
mod runtime;

/// Most bytes of a command's output that [`Runtime::exec`] gives.
pub const EXEC_OUTPUT_BYTES_MAX: usize = 64 << 10;
/// Most bytes of a log line; a longer one comes as several.
pub const LOG_LINE_BYTES_MAX: usize = 16 << 10;

pub use container::{
    Container, ContainerId, ContainerSpec, ContainerState, EventStream, ExecOutput, ExitStatus,
    LogLine, LogQuery, LogStream, RuntimeEvent, RuntimeEventKind, Stats, Stream, labels,
};
pub use error::RuntimeError;
pub use image::{ImageContent, ImageImport};
pub use open::{OpenError, discover, open};
pub use runtime::{Runtime, RuntimeInfo};
