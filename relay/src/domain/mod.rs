//! What the relay decides: who may enrol, which bundle fits which device, what each device shall
//! run, how a rollout stands. Pure: time, chance and data are arguments.
//!
//! Never reads a clock, a database or a socket, and never logs.
