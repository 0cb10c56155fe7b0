//! Clauses B60 to B62: the schema of the variables makes sense.

use super::ensure;
use crate::Manifest;
use crate::error::{Refused, Rule};
use crate::values;

const KIND: Rule = Rule {
    clause: "B61",
    text: "a pattern compiles, bounds are in order, and choices are given, each once",
};
const DEFAULT: Rule = Rule {
    clause: "B62",
    text: "a default fits its own variable",
};

pub(super) fn check(manifest: &Manifest) -> Result<(), Refused> {
    for variable in &manifest.variables {
        let place = || format!("variable {}", variable.name);
        ensure(values::is_sound(&variable.kind), KIND, place)?;
        let fits = variable
            .default
            .as_ref()
            .is_none_or(|default| values::check(variable, default).is_ok());
        ensure(fits, DEFAULT, place)?;
    }
    Ok(())
}
