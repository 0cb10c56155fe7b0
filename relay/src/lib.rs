//! The relay: packs and signs bundles, serves them to devices, and answers the fleet's questions.
//!
//! `cli` is the command line, of the operator and of the server; `client` talks to a relay for it;
//! `pack` turns a Compose file and images into a bundle. The server: `http` (routes) → `domain` (decisions, pure) → `store`
//! (database and bundles); `serve` is the process around it. Never runs a container and never
//! imports the agent.

pub mod cli;
mod client;
mod domain;
mod http;
mod net;
pub mod pack;
mod serve;
mod store;
mod unverified;
