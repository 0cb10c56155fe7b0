//! The server's settings: from the command line, the environment (`CORACLE_RELAY_*`) and
//! `relay.toml`, in this order; one list of names for all three.
//!
//! Never opens anything but the settings file.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use relay_api::device::LONG_POLL_S_MAX;
use serde::Deserialize;
use tracing::Level;

/// Seconds between two check-ins of a device, unless set.
const INTERVAL_S: u32 = 60;
/// Most bytes of a bundle file, unless set: 8 GiB.
const BUNDLE_BYTES_MAX: u64 = 8 << 30;
/// Most connections at once, unless set: each waiting device is one.
const CONNECTIONS_MAX: usize = 10_000;

/// Settings as one source gives them; what is left out comes from the next source.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Given {
    /// The folder with the database and the bundles; made if missing
    #[arg(long, value_name = "DIR", env = "CORACLE_RELAY_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "CORACLE_RELAY_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,

    /// The certificate chain, PEM, the server's own first
    #[arg(long, value_name = "FILE", env = "CORACLE_RELAY_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of the certificate, PEM
    #[arg(long, value_name = "FILE", env = "CORACLE_RELAY_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Make a certificate authority in this folder, or use the one there: DIR/ca.pem is what
    /// devices and operators trust
    #[arg(long, value_name = "DIR", env = "CORACLE_RELAY_DEV_CA")]
    pub(crate) dev_ca: Option<PathBuf>,

    /// Where the first start writes the admin token, with mode 0600; else it is printed, once
    #[arg(long, value_name = "FILE", env = "CORACLE_RELAY_ADMIN_TOKEN_FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// How often devices check in, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS", env = "CORACLE_RELAY_INTERVAL")]
    pub(crate) interval: Option<u32>,

    /// How long devices may wait at the relay for news, in seconds, at most 55; 0: not at all
    /// [default: 0]
    #[arg(long, value_name = "SECONDS", env = "CORACLE_RELAY_LONG_POLL")]
    pub(crate) long_poll: Option<u16>,

    /// A web server or CDN that devices fetch bundles from: it serves the folder `bundles` here
    #[arg(long, value_name = "URL", env = "CORACLE_RELAY_BUNDLE_URL")]
    pub(crate) bundle_url: Option<String>,

    /// Release keys, *.pub: a bundle that none of them signed is not published
    #[arg(long, value_name = "DIR", env = "CORACLE_RELAY_KEYS")]
    pub(crate) keys: Option<PathBuf>,

    /// Most bytes of a bundle [default: 8 GiB]
    #[arg(long, value_name = "BYTES", env = "CORACLE_RELAY_BUNDLE_BYTES_MAX")]
    pub(crate) bundle_bytes_max: Option<u64>,

    /// Most connections at once; more wait until one ends [default: 10000]
    #[arg(long, value_name = "N", env = "CORACLE_RELAY_CONNECTIONS_MAX")]
    pub(crate) connections_max: Option<usize>,

    /// How logs look, on standard error [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        env = "CORACLE_RELAY_LOG_FORMAT"
    )]
    pub(crate) log_format: Option<LogFormat>,

    /// How much is logged: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", env = "CORACLE_RELAY_LOG_LEVEL")]
    pub(crate) log_level: Option<String>,
}

/// How logs look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object in each line.
    Json,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// There is none: plain HTTP behind a proxy on this machine.
    None,
    /// The operator's own files.
    Files {
        /// The chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The development CA in this folder.
    DevCa(PathBuf),
}

/// Settings that make sense together.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Tls,
    pub(crate) admin_token_file: Option<PathBuf>,
    pub(crate) interval_s: u32,
    pub(crate) long_poll_s: u16,
    /// Without a slash at its end.
    pub(crate) bundle_url: Option<String>,
    pub(crate) keys: Option<PathBuf>,
    pub(crate) bundle_bytes_max: u64,
    pub(crate) connections_max: usize,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: Level,
}

/// Why settings make no sense.
#[derive(Debug)]
pub(crate) enum SettingsError {
    /// The settings file cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The settings file says something that is no setting.
    File {
        /// Which.
        path: PathBuf,
        /// What and where.
        error: toml::de::Error,
    },
    /// A setting is missing.
    Missing(&'static str),
    /// `tls_cert` without `tls_key`, or one of them with `dev_ca`.
    TlsMixed,
    /// An address that others reach, without TLS.
    PlainBeyondLoopback(SocketAddr),
    /// A number outside its bounds.
    Bounds {
        /// Its flag.
        name: &'static str,
        /// The bounds, in words.
        bounds: &'static str,
    },
    /// `bundle_url` is no URL that a device could fetch from.
    BundleUrl(String),
    /// `log_level` is none.
    LogLevel(String),
}

impl SettingsError {
    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "check the path given with --config",
            Self::File { .. } => {
                "relay serve --help lists the settings; in the file, _ stands for -"
            }
            Self::Missing(_) => {
                "give it as a flag, in the environment (CORACLE_RELAY_…) or in relay.toml"
            }
            Self::TlsMixed => "give --tls-cert with --tls-key, or --dev-ca alone, or none of them",
            Self::PlainBeyondLoopback(_) => {
                "give --tls-cert and --tls-key, or --dev-ca DIR; without TLS listen on 127.0.0.1, behind a proxy"
            }
            Self::Bounds { .. } => "choose a number within them",
            Self::BundleUrl(_) => "give an https:// or http:// URL without query",
            Self::LogLevel(_) => "give error, warn, info, debug or trace",
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => write!(f, "{}: {error}", path.display()),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Missing(name) => write!(f, "{name} is missing"),
            Self::TlsMixed => f.write_str("these TLS settings do not go together"),
            Self::PlainBeyondLoopback(address) => write!(
                f,
                "{address} can be reached from other machines, and there is no TLS"
            ),
            Self::Bounds { name, bounds } => write!(f, "{name} must be {bounds}"),
            Self::BundleUrl(url) => write!(f, "--bundle-url {url:?} is no URL to fetch from"),
            Self::LogLevel(level) => write!(f, "--log-level {level:?} is no level"),
        }
    }
}

impl std::error::Error for SettingsError {}

impl Given {
    /// The settings of a file.
    ///
    /// # Errors
    /// [`SettingsError::Read`] and [`SettingsError::File`].
    pub(crate) fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|error| SettingsError::Read {
            path: path.to_path_buf(),
            error,
        })?;
        toml::from_str(&text).map_err(|error| SettingsError::File {
            path: path.to_path_buf(),
            error,
        })
    }

    /// What this says, and what `other` says where this says nothing. The TLS settings go
    /// together: flags of one kind put those of another kind in a file out of force.
    pub(crate) fn or(self, other: Self) -> Self {
        let tls = self.tls_cert.is_some() || self.tls_key.is_some() || self.dev_ca.is_some();
        let (tls_cert, tls_key, dev_ca) = if tls {
            (self.tls_cert, self.tls_key, self.dev_ca)
        } else {
            (other.tls_cert, other.tls_key, other.dev_ca)
        };
        Self {
            data: self.data.or(other.data),
            listen: self.listen.or(other.listen),
            tls_cert,
            tls_key,
            dev_ca,
            admin_token_file: self.admin_token_file.or(other.admin_token_file),
            interval: self.interval.or(other.interval),
            long_poll: self.long_poll.or(other.long_poll),
            bundle_url: self.bundle_url.or(other.bundle_url),
            keys: self.keys.or(other.keys),
            bundle_bytes_max: self.bundle_bytes_max.or(other.bundle_bytes_max),
            connections_max: self.connections_max.or(other.connections_max),
            log_format: self.log_format.or(other.log_format),
            log_level: self.log_level.or(other.log_level),
        }
    }

    /// The settings, with defaults, if they make sense together.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub(crate) fn settle(self) -> Result<Settings, SettingsError> {
        let tls = match (self.tls_cert, self.tls_key, self.dev_ca) {
            (None, None, None) => Tls::None,
            (Some(cert), Some(key), None) => Tls::Files { cert, key },
            (None, None, Some(folder)) => Tls::DevCa(folder),
            _ => return Err(SettingsError::TlsMixed),
        };
        let listen = self.listen.ok_or(SettingsError::Missing("--listen"))?;
        if tls == Tls::None && !listen.ip().is_loopback() {
            return Err(SettingsError::PlainBeyondLoopback(listen));
        }
        let interval_s = self.interval.unwrap_or(INTERVAL_S);
        bounded(
            "--interval",
            "from 1 to 86400",
            (1..=86_400).contains(&interval_s),
        )?;
        let long_poll_s = self.long_poll.unwrap_or(0);
        bounded("--long-poll", "at most 55", long_poll_s <= LONG_POLL_S_MAX)?;
        let connections_max = self.connections_max.unwrap_or(CONNECTIONS_MAX);
        bounded(
            "--connections-max",
            "from 1 to 1000000",
            (1..=1_000_000).contains(&connections_max),
        )?;
        let log_level = match self.log_level {
            None => Level::INFO,
            Some(word) => word.parse().map_err(|_| SettingsError::LogLevel(word))?,
        };
        Ok(Settings {
            data: self.data.ok_or(SettingsError::Missing("--data"))?,
            listen,
            tls,
            admin_token_file: self.admin_token_file,
            interval_s,
            long_poll_s,
            bundle_url: self.bundle_url.map(bundle_url).transpose()?,
            keys: self.keys,
            bundle_bytes_max: self.bundle_bytes_max.unwrap_or(BUNDLE_BYTES_MAX),
            connections_max,
            log_format: self.log_format.unwrap_or_default(),
            log_level,
        })
    }
}

fn bounded(name: &'static str, bounds: &'static str, holds: bool) -> Result<(), SettingsError> {
    if holds {
        return Ok(());
    }
    Err(SettingsError::Bounds { name, bounds })
}

fn bundle_url(url: String) -> Result<String, SettingsError> {
    match reqwest::Url::parse(&url) {
        Ok(parsed)
            if matches!(parsed.scheme(), "http" | "https")
                && parsed.query().is_none()
                && parsed.fragment().is_none() =>
        {
            Ok(url.trim_end_matches('/').to_string())
        }
        _ => Err(SettingsError::BundleUrl(url)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(listen: &str) -> Given {
        Given {
            data: Some("data".into()),
            listen: Some(listen.parse().unwrap()),
            ..Given::default()
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        assert!(given("127.0.0.1:0").settle().is_ok());
        assert!(given("[::1]:8080").settle().is_ok());
        for beyond in ["0.0.0.0:80", "10.0.0.1:80", "[::]:80"] {
            let refused = given(beyond).settle();
            assert!(
                matches!(refused, Err(SettingsError::PlainBeyondLoopback(_))),
                "{beyond}"
            );
            let with_tls = Given {
                dev_ca: Some("ca".into()),
                ..given(beyond)
            };
            assert!(with_tls.settle().is_ok());
        }
    }

    #[test]
    fn tls_settings_that_contradict_are_refused() {
        let path = || Some(PathBuf::from("x"));
        for (tls_cert, tls_key, dev_ca) in [
            (path(), None, None),
            (None, path(), None),
            (path(), path(), path()),
        ] {
            let mixed = Given {
                tls_cert,
                tls_key,
                dev_ca,
                ..given("127.0.0.1:0")
            };
            assert!(matches!(mixed.settle(), Err(SettingsError::TlsMixed)));
        }
    }

    #[test]
    fn flags_beat_the_file_and_tls_goes_as_one() {
        let file: Given = toml::from_str(
            "data = \"d\"\nlisten = \"0.0.0.0:443\"\ndev_ca = \"ca\"\ninterval = 5\nlog_format = \"json\"\n",
        )
        .unwrap();
        let flags = Given {
            tls_cert: Some("c".into()),
            tls_key: Some("k".into()),
            interval: Some(9),
            ..Given::default()
        };
        let settings = flags.or(file).settle().unwrap();
        assert_eq!(settings.interval_s, 9);
        assert_eq!(settings.log_format, LogFormat::Json);
        assert!(matches!(settings.tls, Tls::Files { .. }));
        assert_eq!(settings.listen.port(), 443);
    }

    #[test]
    fn a_misspelt_setting_in_the_file_is_an_error() {
        let error = toml::from_str::<Given>("lissen = \"127.0.0.1:1\"").unwrap_err();
        assert!(error.to_string().contains("lissen"), "{error}");
    }

    #[test]
    fn numbers_outside_their_bounds_are_refused() {
        for bad in [
            Given {
                long_poll: Some(56),
                ..given("127.0.0.1:0")
            },
            Given {
                interval: Some(0),
                ..given("127.0.0.1:0")
            },
            Given {
                connections_max: Some(0),
                ..given("127.0.0.1:0")
            },
        ] {
            assert!(matches!(bad.settle(), Err(SettingsError::Bounds { .. })));
        }
    }

    #[test]
    fn bundles_come_from_urls_only() {
        assert_eq!(
            bundle_url("https://cdn.example/b/".into()).unwrap(),
            "https://cdn.example/b"
        );
        for bad in ["cdn.example", "file:///x", "https://x/?a=b", ""] {
            assert!(bundle_url(bad.into()).is_err(), "{bad}");
        }
    }
}
