//! Clause B30: names are unique among their kind.

use super::once;
use crate::Manifest;
use crate::error::{Refused, Rule};

const UNIQUE: Rule = Rule {
    clause: "B30",
    text: "a name is given once",
};

pub(super) fn check(manifest: &Manifest) -> Result<(), Refused> {
    once(
        &manifest.services,
        |s| &s.name,
        UNIQUE,
        |name| format!("service {name}"),
    )?;
    once(
        &manifest.volumes,
        |v| v,
        UNIQUE,
        |name| format!("volume {name}"),
    )?;
    once(
        &manifest.networks,
        |n| n,
        UNIQUE,
        |name| format!("network {name}"),
    )?;
    once(
        &manifest.files,
        |f| &f.name,
        UNIQUE,
        |name| format!("file {name:?}"),
    )?;
    once(
        &manifest.variables,
        |v| &v.name,
        UNIQUE,
        |name| format!("variable {name}"),
    )
}
