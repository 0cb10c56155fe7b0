//! The `relay` program as a person or a script uses it: real files in, exit codes and bytes out.

mod bundles;
mod image;
mod keys;
mod pack;
mod run;
mod services;
mod sources;
