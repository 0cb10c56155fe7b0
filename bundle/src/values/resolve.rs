//! Joins the values that device, relay and schema give.

use std::collections::BTreeMap;
use std::fmt;

use super::check::{Misfit, check};
use super::{Entry, Values};
use crate::VariableName;
use crate::manifest::{Text, Variable};

/// Who gave a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The device's own configuration.
    Device,
    /// The relay.
    Relay,
    /// The signed schema.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "this device's configuration",
            Self::Relay => "the relay",
            Self::Default => "the bundle's default",
        })
    }
}

/// Why the values of an app's variables cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// A value for a variable that the app does not declare.
    Unknown {
        /// The name given.
        name: String,
        /// Who gave it.
        source: Source,
    },
    /// No value for a variable that has no default.
    Missing {
        /// The variable.
        name: VariableName,
    },
    /// A value that does not fit its variable.
    DoesNotFit {
        /// The variable.
        name: VariableName,
        /// Who gave it.
        source: Source,
        /// What would fit.
        misfit: Misfit,
    },
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, source } => write!(
                f,
                "{source} sets the variable {name:?}, which the app does not declare: remove it"
            ),
            Self::Missing { name } => write!(
                f,
                "the variable {name} has no value: set it in this device's configuration or from the relay"
            ),
            Self::DoesNotFit {
                name,
                source,
                misfit,
            } => write!(
                f,
                "{source} gives the variable {name} a value that does not fit: {misfit}"
            ),
        }
    }
}

impl std::error::Error for ValueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::DoesNotFit { misfit, .. } => Some(misfit),
            _ => None,
        }
    }
}

impl Values {
    /// One checked value for each variable of `schema`: the device's own beats the relay's, which
    /// beats the default. A value that is beaten is checked all the same.
    ///
    /// # Errors
    /// [`ValueError`]: an unknown name, a required value that nobody gives, one that does not fit.
    pub fn resolve(
        schema: &[Variable],
        device: &BTreeMap<String, String>,
        relay: &BTreeMap<String, String>,
    ) -> Result<Self, ValueError> {
        for (given, source) in [(device, Source::Device), (relay, Source::Relay)] {
            let unknown = given.keys().find(|name| {
                schema
                    .iter()
                    .all(|variable| variable.name.as_str() != **name)
            });
            if let Some(name) = unknown {
                return Err(ValueError::Unknown {
                    name: name.clone(),
                    source,
                });
            }
        }
        let mut entries = schema
            .iter()
            .map(|variable| {
                Ok(Entry {
                    name: variable.name.clone(),
                    value: value_of(variable, device, relay)?,
                    secret: variable.secret,
                })
            })
            .collect::<Result<Vec<_>, ValueError>>()?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { entries })
    }
}

fn value_of(
    variable: &Variable,
    device: &BTreeMap<String, String>,
    relay: &BTreeMap<String, String>,
) -> Result<Text, ValueError> {
    let name = variable.name.as_str();
    let candidates = [
        (device.get(name).map(String::as_str), Source::Device),
        (relay.get(name).map(String::as_str), Source::Relay),
        (variable.default.as_deref(), Source::Default),
    ];
    let mut chosen = None;
    for (value, source) in candidates {
        let Some(value) = value else { continue };
        let misfits = |misfit| ValueError::DoesNotFit {
            name: variable.name.clone(),
            source,
            misfit,
        };
        check(variable, value).map_err(misfits)?;
        if chosen.is_none() {
            chosen = Some(Text::new(value).ok_or_else(|| misfits(Misfit::TooLong))?);
        }
    }
    chosen.ok_or_else(|| ValueError::Missing {
        name: variable.name.clone(),
    })
}
