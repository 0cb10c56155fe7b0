//! The relay: packs and signs bundles; from the next issue on it serves them, too.
//!
//! `cli` is the operator's command line; `pack` turns a Compose file and images into a bundle.
//! Never runs a container and never imports the agent.

pub mod cli;
pub mod pack;
mod unverified;
