//! Names with a grammar: a value of these types is valid by construction, also when decoded.
//!
//! Never normalises: a name that does not fit is an error, not a nearby good one.

use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Serialize};

/// A text that breaks the grammar of its kind of name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    /// Which kind of name, in words: "app name".
    pub kind: &'static str,
    /// The rule that it must obey, in words.
    pub rule: &'static str,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid {}: {}", self.kind, self.rule)
    }
}

impl core::error::Error for NameError {}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, max $max:literal, $check:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Most bytes that such a name has.
            pub const MAX: usize = $max;

            /// The name, if `text` obeys the grammar.
            ///
            /// # Errors
            /// [`NameError`], which names the rule.
            pub fn new(text: &str) -> Result<Self, NameError> {
                if !text.is_empty() && text.len() <= $max && $check(text) {
                    Ok(Self(text.to_string()))
                } else {
                    Err(NameError { kind: $kind, rule: $rule })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl core::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// The name of an app on a device; part of container, volume and network names, and of the
    /// A/B record, where it has 32 bytes.
    AppName, "app name", max 32, is_dns_label,
    "1 to 32 lower-case letters, digits and inner hyphens, beginning with a letter"
);
name!(
    /// The name of a service within its app; also its host name on the app's networks.
    ServiceName, "service name", max 63, is_container_name,
    "1 to 63 lower-case letters, digits and inner '-', '_', '.', beginning with a letter or digit"
);
name!(
    /// The name of a volume within its app.
    VolumeName, "volume name", max 63, is_container_name,
    "1 to 63 lower-case letters, digits and inner '-', '_', '.', beginning with a letter or digit"
);
name!(
    /// The name of a network within its app.
    NetworkName, "network name", max 63, is_container_name,
    "1 to 63 lower-case letters, digits and inner '-', '_', '.', beginning with a letter or digit"
);
name!(
    /// The name of a variable: as in a shell.
    VariableName, "variable name", max 64, is_shell_name,
    "1 to 64 letters, digits and '_', not beginning with a digit"
);
name!(
    /// A value in the manner of Kubernetes label values: fleets and device classes.
    Label, "label", max 63, is_label,
    "1 to 63 letters, digits and inner '-', '_', '.'"
);
name!(
    /// A device's id.
    DeviceId, "device id", max 63, is_label,
    "1 to 63 letters, digits and inner '-', '_', '.'"
);
name!(
    /// The version as people write it; never compared for order, `seq` does that.
    VersionLabel, "version", max 64, is_version,
    "1 to 64 letters, digits and '-', '_', '.', '+', '~'"
);

fn inner(text: &str, edge: fn(u8) -> bool, middle: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    edge(*first) && edge(*last) && bytes.iter().all(|b| edge(*b) || middle(*b))
}

fn lower_or_digit(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_dns_label(text: &str) -> bool {
    text.as_bytes()[0].is_ascii_lowercase() && inner(text, lower_or_digit, |b| b == b'-')
}

fn is_container_name(text: &str) -> bool {
    inner(text, lower_or_digit, |b| matches!(b, b'-' | b'_' | b'.'))
}

fn is_label(text: &str) -> bool {
    inner(
        text,
        |b| b.is_ascii_alphanumeric(),
        |b| matches!(b, b'-' | b'_' | b'.'),
    )
}

fn is_shell_name(text: &str) -> bool {
    !text.as_bytes()[0].is_ascii_digit()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_version(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'~'))
}

/// The processor architecture of a bundle, named as OCI platforms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARM, version 7 with hardware floating point.
    ArmV7,
}

impl Arch {
    /// The architecture in the form `amd64`, `arm64`, `arm/v7`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::ArmV7 => "arm/v7",
        }
    }

    /// The `architecture` and `variant` of an OCI platform.
    pub const fn oci(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Amd64 => ("amd64", None),
            Self::Arm64 => ("arm64", None),
            Self::ArmV7 => ("arm", Some("v7")),
        }
    }

    /// The architecture that this program was built for, if bundles can target it.
    pub const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::Amd64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Arm64)
        } else if cfg!(target_arch = "arm") {
            Some(Self::ArmV7)
        } else {
            None
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl core::str::FromStr for Arch {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        [Self::Amd64, Self::Arm64, Self::ArmV7]
            .into_iter()
            .find(|arch| arch.as_str() == text)
            .ok_or(NameError {
                kind: "architecture",
                rule: "one of amd64, arm64, arm/v7",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_obey_their_grammar() {
        for good in ["a", "kiosk", "kiosk-2"] {
            assert!(AppName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "2kiosk",
            "Kiosk",
            "-a",
            "a-",
            "a.b",
            "a/b",
            "..",
            "ä",
            &"a".repeat(33),
        ] {
            assert!(AppName::new(bad).is_err(), "{bad}");
        }
        assert!(ServiceName::new("node-red.1").is_ok());
        assert!(VariableName::new("SITE_NAME").is_ok());
        assert!(VariableName::new("1X").is_err());
        assert!(VersionLabel::new("1.2.3~rc1+b5").is_ok());
    }

    #[test]
    fn decoding_checks_the_grammar() {
        let bytes = postcard::to_allocvec("Not An App").unwrap();
        assert!(postcard::from_bytes::<AppName>(&bytes).is_err());
    }
}
