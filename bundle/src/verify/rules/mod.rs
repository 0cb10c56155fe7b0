//! The rules between the fields of a manifest, in the order of the specification's clauses.
//!
//! Pure: the same manifest gives the same verdict everywhere. Never judges what depends on the
//! device (its class, its clock, what it runs).

mod health;
mod images;
mod limits;
mod mounts;
mod names;
mod network;
mod order;
mod payload;
mod policy;
mod process;
mod variables;

use crate::Manifest;
use crate::error::{Refused, Rule};

/// Checks every rule, clause by clause.
pub(crate) fn check(manifest: &Manifest) -> Result<(), Refused> {
    extensions(manifest)?;
    payload::check(manifest)?;
    images::check(manifest)?;
    names::check(manifest)?;
    variables::check(manifest)?;
    for service in &manifest.services {
        network::check_service(manifest, service)?;
        mounts::check_service(manifest, service)?;
        process::check_service(manifest, service)?;
        limits::check_service(service)?;
        health::check_service(service)?;
    }
    network::check_ports(manifest)?;
    order::check(manifest)?;
    policy::check(manifest)
}

/// Clause B13.
fn extensions(manifest: &Manifest) -> Result<(), Refused> {
    const ONCE: Rule = Rule {
        clause: "B13",
        text: "each extension comes once",
    };
    // No extension is defined yet, so a critical one is always unknown.
    if let Some(unknown) = manifest.extensions.iter().find(|e| e.critical) {
        return Err(Refused::Extension(unknown.id));
    }
    once(
        &manifest.extensions,
        |e| e.id,
        ONCE,
        |id| format!("extension {id}"),
    )
}

/// Refuses unless `holds`; `place` says where the rule is broken.
fn ensure(holds: bool, rule: Rule, place: impl FnOnce() -> String) -> Result<(), Refused> {
    if holds {
        Ok(())
    } else {
        Err(Refused::Rule {
            rule,
            place: place(),
        })
    }
}

/// Refuses if two items have the same key.
fn once<'a, T, K: PartialEq>(
    items: &'a [T],
    key: impl Fn(&'a T) -> K,
    rule: Rule,
    place: impl Fn(K) -> String,
) -> Result<(), Refused> {
    for (i, item) in items.iter().enumerate() {
        let found = items[..i].iter().any(|other| key(other) == key(item));
        ensure(!found, rule, || place(key(item)))?;
    }
    Ok(())
}
