//! One [`Runtime`] trait over the container runtimes that devices ship.
//!
//! `podman/` speaks libpod REST over its socket, `fake/` is scripted and lives in memory; both
//! pass the one contract suite in `tests/`. containerd comes behind the same trait.
//!
//! This crate never decides what should run, never verifies bundles, and keeps no state of its
//! own on disk; it never shells out.

mod container;
mod error;
mod image;
mod runtime;

pub use container::{
    Container, ContainerId, ContainerSpec, ContainerState, EventStream, ExecOutput, ExitStatus,
    LogLine, LogQuery, LogStream, RuntimeEvent, RuntimeEventKind, Stats, Stream, labels,
};
pub use error::RuntimeError;
pub use image::{ImageContent, ImageImport};
pub use runtime::{Runtime, RuntimeInfo};
