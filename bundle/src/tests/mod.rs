//! Tests of the whole crate, by attack. Each test's name says what is attempted, and each refusal
//! is checked by its clause.

mod base;
mod building;
mod clauses;
mod framing;
mod golden;
mod health_rules;
mod image_rules;
mod mount_rules;
mod network_rules;
mod order_rules;
mod payload_attacks;
mod payload_rules;
mod policy_rules;
mod process_rules;
mod signatures;
mod stock_minisign;
mod trust;
mod unsigned;
mod variable_rules;
