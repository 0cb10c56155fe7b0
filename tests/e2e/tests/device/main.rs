//! The real `agent` and `relay` on a real podman: what an update does, what is refused, what is
//! kept running, and what survives crashes.
//!
//! Nothing here is simulated: bundles are packed by `relay`, containers are the runtime's own.

mod bad_input;
mod bench;
mod crash;
mod disk;
mod fetching;
mod files;
mod fleet;
mod full_disk;
mod life;
mod logs;
mod refusing;
mod supervise;
mod usb;
mod views;
