//! Which devices: label selectors as Kubernetes has them.
//!
//! Requirements with commas between, all of which must hold: `k=v`, `k==v`, `k!=v`, `k`, `!k`,
//! `k in (a,b)`, `k notin (a,b)`. `k!=v` and `notin` hold without the label, too. The label `id` is
//! the device's id, and the one word `all` is every device.
//!
//! Never takes the empty text for every device: a slip would reach the whole fleet.

mod parse;
#[cfg(test)]
mod tests;

pub(crate) use parse::SelectorError;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bundle::{DeviceId, Label};

use super::labels::Labels;

/// The label that stands for the device's id.
const ID: &str = "id";

/// Which devices. `Display` gives the canonical text, which parses to an equal selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// Every device.
    All,
    /// Those for which each of these holds; at least one.
    Where(Vec<Requirement>),
}

/// One condition on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    label: Label,
    test: Test,
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(BTreeSet<Label>),
    NotIn(BTreeSet<Label>),
}

impl Selector {
    /// Whether the device with this id and these labels is meant.
    pub(crate) fn matches(&self, id: &DeviceId, labels: &Labels) -> bool {
        match self {
            Self::All => true,
            Self::Where(requirements) => requirements.iter().all(|r| r.holds(id, labels)),
        }
    }
}

impl Requirement {
    fn holds(&self, id: &DeviceId, labels: &Labels) -> bool {
        let value = if self.label.as_str() == ID {
            Some(id.as_str())
        } else {
            labels.get(&self.label).map(Label::as_str)
        };
        let among = |values: &BTreeSet<Label>| {
            value.is_some_and(|value| values.iter().any(|v| v.as_str() == value))
        };
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
            Test::In(values) => among(values),
            Test::NotIn(values) => !among(values),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        parse::selector(text)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str(parse::ALL),
            Self::Where(requirements) => {
                for (i, requirement) in requirements.iter().enumerate() {
                    write!(f, "{}{requirement}", if i == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = &self.label;
        let (one, several, values) = match &self.test {
            Test::Exists => return write!(f, "{label}"),
            Test::Missing => return write!(f, "!{label}"),
            Test::In(values) => ("=", " in (", values),
            Test::NotIn(values) => ("!=", " notin (", values),
        };
        let list: Vec<&str> = values.iter().map(Label::as_str).collect();
        match &list[..] {
            [value] => write!(f, "{label}{one}{value}"),
            values => write!(f, "{label}{several}{})", values.join(",")),
        }
    }
}
