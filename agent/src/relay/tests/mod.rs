//! The transport against a real server, over real sockets and real TLS.

mod control;
mod files;
mod server;
mod trust;
