//! What the relay decides: who may enrol, which bundle fits which device, what each device shall
//! run, how a rollout stands. Pure: time, chance and data are arguments.
//!
//! [`challenge`], [`request`] and [`verified`] say who asks; [`token`] what secrets are; [`selector`] which devices
//! are meant; [`release`] which bundle fits; [`rollout`] how it goes; [`desired`] what a device is
//! told; [`audit`] what is remembered of it all. Staged rollouts, windows, roles and teams belong
//! here, too, when they come.
//!
//! Never reads a clock, a database or a socket, and never logs.

pub(crate) mod audit;
pub(crate) mod challenge;
pub(crate) mod desired;
pub(crate) mod labels;
pub(crate) mod limits;
pub(crate) mod release;
pub(crate) mod request;
pub(crate) mod rollout;
pub(crate) mod selector;
pub(crate) mod token;
pub(crate) mod variables;
pub(crate) mod verified;
