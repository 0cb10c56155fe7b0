//! The values that an app's variables have on a device.
//!
//! Never shows a secret: `Debug` and errors name the variable, not its value.

#[cfg(feature = "std")]
mod check;
#[cfg(feature = "std")]
mod resolve;

#[cfg(feature = "std")]
pub(crate) use check::is_sound;
#[cfg(feature = "std")]
pub use check::{Misfit, check};
#[cfg(feature = "std")]
pub use resolve::{Source, ValueError};

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::bounded::list;
use crate::limits::VARIABLES_MAX;
use crate::manifest::Text;
use crate::{Digest, VariableName};

/// One value for each variable of an app, checked against the signed schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    /// Sorted by name, each name once.
    #[serde(deserialize_with = "list::<_, _, VARIABLES_MAX>")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: VariableName,
    value: Text,
    secret: bool,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret {
            write!(f, "{}=(secret)", self.name)
        } else {
            write!(f, "{}={:?}", self.name, self.value)
        }
    }
}

/// Bytes that are not the encoding of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptValues;

impl fmt::Display for CorruptValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored values of the variables are damaged")
    }
}

impl core::error::Error for CorruptValues {}

impl Values {
    /// The value of a variable; none if the app does not declare it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|entry| entry.value.as_str())
    }

    /// Whether a variable's value must not be shown.
    pub fn is_secret(&self, name: &str) -> bool {
        self.find(name).is_some_and(|entry| entry.secret)
    }

    /// Names and values, sorted by name. Ask [`Values::is_secret`] before showing one.
    pub fn iter(&self) -> impl Iterator<Item = (&VariableName, &str)> {
        self.entries
            .iter()
            .map(|entry| (&entry.name, entry.value.as_str()))
    }

    /// SHA-256 of [`Values::encode`]: equal for equal values, wherever they came from.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// The values as bytes (postcard), for the device's own storage.
    pub fn encode(&self) -> Vec<u8> {
        // Encoding to memory fails only for types that postcard cannot express.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads what [`Values::encode`] wrote.
    ///
    /// # Errors
    /// [`CorruptValues`], also for bytes that decode but are not canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptValues> {
        let values: Self = postcard::from_bytes(bytes).map_err(|_| CorruptValues)?;
        let sorted = values.entries.windows(2).all(|w| w[0].name < w[1].name);
        if sorted && values.encode() == bytes {
            Ok(values)
        } else {
            Err(CorruptValues)
        }
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        self.entries
            .binary_search_by(|entry| entry.name.as_str().cmp(name))
            .ok()
            .and_then(|i| self.entries.get(i))
    }
}
