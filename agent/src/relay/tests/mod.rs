//! The transport against a real server.
