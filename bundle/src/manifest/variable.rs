//! Per-device settings: the signed schema that values must fit.
//!
//! Never holds a device's value; `bundle::values` checks and joins these.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::VariableName;
use crate::bounded::list;
use crate::limits::LIST_MAX;
use crate::manifest::Text;

/// A setting that the device or the relay may give a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name, used as `${NAME}`.
    pub name: VariableName,
    /// Which values fit.
    pub kind: VariableKind,
    /// The value if nobody sets one; without it a value is required.
    pub default: Option<Text>,
    /// Whether values are kept out of status, logs and support bundles.
    pub secret: bool,
    /// What it is for, in words.
    pub description: Text,
}

/// Which values of a variable fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum VariableKind {
    /// Text; with a pattern, the whole value must match it (syntax of the `regex` crate).
    Text {
        /// The pattern, if any.
        pattern: Option<Text>,
    },
    /// A whole number in decimal within bounds, both included.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// One of these.
    Choice(#[serde(deserialize_with = "list::<_, _, LIST_MAX>")] Vec<Text>),
}
