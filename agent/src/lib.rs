//! The device agent: the shell around `agent-core`.
//!
//! A request's way through it: [`cli`] parses it → [`control`] carries it to the daemon, where one
//! runs → the engine does it and answers in the types of [`api`] → [`render`] prints the answer.
//! [`config`] says where everything lies. Never imports the relay, and never builds or signs.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod engine;
mod exit;
mod logging;
mod notify;
mod relay;
pub mod render;
mod state;
pub mod time;
