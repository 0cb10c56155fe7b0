//! Free text with a bound.
//!
//! Never holds a NUL byte, which no runtime could carry.

use alloc::string::String;
use core::fmt;
use core::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::bounded::text;
use crate::limits::TEXT_BYTES_MAX;

/// A text of at most [`TEXT_BYTES_MAX`] bytes without NUL: an argument, a path, a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Text(#[serde(deserialize_with = "text::<_, TEXT_BYTES_MAX>")] String);

impl Text {
    /// The text, if it is within the bound and without NUL.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (text.len() <= TEXT_BYTES_MAX && !text.contains('\0')).then_some(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
