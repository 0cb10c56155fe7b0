//! What the relay remembers: a database behind the trait `Store`, and bundles in a folder.
//!
//! Never decides anything: `domain` does.
