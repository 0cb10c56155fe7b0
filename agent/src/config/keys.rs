//! The table of what can be configured: each key is a line in a file, a flag and an environment
//! variable at once. Never reads anything.

use std::path::PathBuf;

use bundle::{DeviceId, Label};
use log::LevelFilter;

use super::Config;

/// The rule that a value breaks, in words that go on from "it must be".
type Rule = &'static str;

/// Something that can be configured.
pub struct Key {
    /// Its name in a file.
    pub name: &'static str,
    /// What stands for its value in a help text.
    pub value: &'static str,
    /// One line about it.
    pub help: &'static str,
    /// What holds if nobody sets it, in words.
    pub default: &'static str,
    pub(super) set: Set,
}

/// How a value gets into the configuration.
pub(super) enum Set {
    /// A file or folder; relative ones are allowed on the command line only.
    Path(fn(&mut Config, PathBuf)),
    /// A text with a rule.
    Text(fn(&mut Config, &str) -> Result<(), Rule>),
    /// A table of labels; `name=value,…` as a text.
    Labels,
}

impl Key {
    /// Its flag, without the hyphens in front: `state-dir`.
    pub fn flag(&self) -> String {
        Self::flag_of(self.name)
    }

    /// Its environment variable: `CORACLE_STATE_DIR`.
    pub fn variable(&self) -> String {
        Self::variable_of(self.name)
    }

    pub(super) fn flag_of(name: &str) -> String {
        name.replace('_', "-")
    }

    pub(super) fn variable_of(name: &str) -> String {
        format!("CORACLE_{}", name.to_ascii_uppercase())
    }

    /// The key with this flag.
    pub(crate) fn find_flag(flag: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.flag() == flag)
    }
}

macro_rules! key {
    ($name:literal, $value:literal, $default:literal, $help:literal, $set:expr) => {
        Key {
            name: $name,
            value: $value,
            default: $default,
            help: $help,
            set: $set,
        }
    };
}

/// Every key, in the order of the documentation.
pub static KEYS: [Key; 16] = [
    key!(
        "state_dir",
        "DIR",
        "/var/lib/coracle",
        "Where the agent keeps its state",
        Set::Path(|c, path| c.state_dir = path)
    ),
    key!(
        "keys_dir",
        "DIR",
        "/etc/coracle/keys",
        "Where the release keys (*.pub) are",
        Set::Path(|c, path| c.keys_dir = path)
    ),
    key!(
        "runtime",
        "ADDRESS",
        "whichever answers",
        "Container runtime: podman:///path.sock",
        Set::Text(|c, text| address(
            text,
            &["podman:///", "containerd:///"],
            "podman:///path.sock or containerd:///path.sock"
        )
        .map(|text| c.runtime = text))
    ),
    key!(
        "control_socket",
        "PATH",
        "/run/coracle/agent.sock",
        "Socket of the daemon",
        Set::Path(|c, path| c.control_socket = path)
    ),
    key!(
        "relay",
        "URL",
        "the one of `agent enroll`",
        "Address of the relay, in the place of the one it was enrolled at",
        Set::Text(|c, text| url(text).map(|text| c.relay = Some(text)))
    ),
    key!(
        "relay_ca",
        "FILE",
        "that of `agent enroll`, else the system's",
        "Certificate authority of the relay",
        Set::Path(|c, path| c.relay_ca = Some(path))
    ),
    key!(
        "labels",
        "NAME=VALUE,...",
        "none",
        "Labels of this device",
        Set::Labels
    ),
    key!(
        "log_level",
        "LEVEL",
        "info",
        "Least level to log: error, warn, info, debug, trace, off",
        Set::Text(|c, text| text
            .parse::<LevelFilter>()
            .map(|level| c.log_level = level)
            .map_err(|_| "one of error, warn, info, debug, trace, off"))
    ),
    key!(
        "device_id",
        "ID",
        "made from the machine id",
        "Id of this device",
        Set::Text(|c, text| DeviceId::new(text)
            .map(|id| c.device_id = Some(id))
            .map_err(|e| e.rule))
    ),
    key!(
        "fleet",
        "NAME",
        "default",
        "Fleet of this device",
        Set::Text(|c, text| Label::new(text)
            .map(|fleet| c.fleet = fleet)
            .map_err(|e| e.rule))
    ),
    key!(
        "device_class",
        "NAME",
        "none",
        "Class of this device",
        Set::Text(|c, text| Label::new(text)
            .map(|class| c.device_class = Some(class))
            .map_err(|e| e.rule))
    ),
    key!(
        "policy_file",
        "FILE",
        "/etc/coracle/policy.toml",
        "What bundles may ask of this device",
        Set::Path(|c, path| c.policy_file = path)
    ),
    key!(
        "time_zone",
        "ZONE",
        "the system's",
        "Time zone of this device: Europe/Rome",
        Set::Text(|c, text| zone(text).map(|text| c.time_zone = Some(text)))
    ),
    key!(
        "proxy",
        "URL",
        "https_proxy in the environment",
        "HTTP proxy on the way to the relay: http://proxy:3128",
        Set::Text(|c, text| url(text).map(|text| c.proxy = Some(text)))
    ),
    key!(
        "rate_max",
        "BYTES",
        "no limit",
        "Most bytes a second of all downloads together",
        Set::Text(|c, text| bytes(text).map(|n| c.rate_max = Some(n)))
    ),
    key!(
        "byte_budget_month",
        "BYTES",
        "no limit",
        "Most bytes of download a month (no effect yet)",
        Set::Text(|c, text| bytes(text).map(|n| c.byte_budget_month = Some(n)))
    ),
];

/// An address that begins with one of `schemes`, or nothing.
fn address(text: &str, schemes: &[&str], rule: Rule) -> Result<String, Rule> {
    let known = text.is_empty() || schemes.iter().any(|scheme| text.starts_with(scheme));
    if known && !text.contains(char::is_control) {
        Ok(text.into())
    } else {
        Err(rule)
    }
}

fn url(text: &str) -> Result<String, Rule> {
    const RULE: Rule = "an address like https://relay.example";
    if text.is_empty() {
        Err(RULE)
    } else {
        address(text, &["https://", "http://"], RULE)
    }
}

fn zone(text: &str) -> Result<String, Rule> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+');
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) {
        Ok(text.into())
    } else {
        Err("the name of a time zone, like Europe/Rome")
    }
}

/// A number of bytes, with K, M or G for 2¹⁰, 2²⁰, 2³⁰ of them.
fn bytes(text: &str) -> Result<u64, Rule> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number = if digits.starts_with('+') {
        None
    } else {
        digits.parse::<u64>().ok()
    };
    number
        .and_then(|n| n.checked_mul(1 << shift))
        .filter(|n| *n > 0)
        .ok_or("a number of bytes above 0: 200000, 200K, 5M or 2G")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_bytes_are_read() {
        for (text, wanted) in [
            ("1", Some(1)),
            ("200K", Some(200 << 10)),
            ("5M", Some(5 << 20)),
            ("2G", Some(2 << 30)),
            ("0", None),
            ("+1", None),
            ("-1", None),
            ("K", None),
            ("", None),
            ("1.5M", None),
            ("99999999999G", None),
        ] {
            assert_eq!(bytes(text).ok(), wanted, "{text}");
        }
    }

    #[test]
    fn the_defaults_in_the_table_are_those_of_the_code() {
        let mut from_table = Config::default();
        for key in &KEYS {
            match key.set {
                Set::Path(set) if key.default.starts_with('/') => {
                    set(&mut from_table, key.default.into());
                }
                Set::Text(set) if matches!(key.name, "log_level" | "fleet") => {
                    set(&mut from_table, key.default).unwrap();
                }
                _ => {}
            }
        }
        assert_eq!(from_table, Config::default());
    }
}
