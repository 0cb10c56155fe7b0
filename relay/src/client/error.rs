//! Why a relay did not do what was asked, or could not be asked.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use relay_api::escape;
use relay_api::operator::ErrorInfo;

use super::url::{RelayUrl, UrlError};

/// Why a relay did not do what was asked, or could not be asked.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum ClientError {
    /// Nobody said which relay.
    NoRelay,
    /// Nobody gave a token for this relay.
    NoToken(RelayUrl),
    /// What is said to be a relay's address is none; where that was said.
    Url(&'static str, UrlError),
    /// A file could not be read or written.
    File(PathBuf, io::Error),
    /// What `relay login` stored cannot be understood.
    Stored(PathBuf, toml::de::Error),
    /// There is no home folder to store anything in.
    NoHome,
    /// The token is empty or more than a line of visible characters.
    Token,
    /// The CA holds no certificate.
    Authority,
    /// The process could not be made ready for the network.
    Start(io::Error),
    /// TLS could not be set up: the system trusts nobody.
    Setup(reqwest::Error),
    /// A request that cannot be written as JSON.
    Body(serde_json::Error),
    /// No connection, or a broken one.
    Unreachable {
        /// The relay.
        url: RelayUrl,
        /// What went wrong.
        error: reqwest::Error,
    },
    /// The upload has not moved for a while.
    Stalled(RelayUrl),
    /// The relay's certificate does not pass.
    Certificate {
        /// The relay.
        url: RelayUrl,
        /// Why not.
        error: Box<rustls::CertificateError>,
    },
    /// The relay said no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        info: Box<ErrorInfo>,
    },
    /// Somebody answers who is no relay.
    NotARelay {
        /// Where.
        url: RelayUrl,
        /// The HTTP status.
        status: u16,
    },
    /// The relay's answer is not what was expected.
    Answer {
        /// The relay.
        url: RelayUrl,
        /// How.
        error: serde_json::Error,
    },
    /// The relay's answer is larger than anything that it should say.
    TooLarge {
        /// What would have been taken.
        bytes_max: usize,
    },
}

/// What a failure means to a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something on this machine, or not to be expected.
    Other,
    /// The command line makes no sense.
    Usage,
    /// Not logged in, or the token is refused.
    Login,
    /// There is no such thing at the relay.
    NotFound,
    /// The relay refuses.
    Refused,
    /// The relay does not answer, or not now.
    Unreachable,
}

impl ClientError {
    /// A request that did not come through, sorted by whose fault it is.
    pub(super) fn unreachable(url: &RelayUrl, error: reqwest::Error) -> Self {
        let url = url.clone();
        match certificate_error(&error) {
            Some(error) => Self::Certificate {
                url,
                error: Box::new(error),
            },
            None => Self::Unreachable { url, error },
        }
    }

    /// What it means to a script.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NoRelay | Self::NoToken(_) | Self::Token => Kind::Login,
            Self::Url(..) => Kind::Usage,
            Self::Unreachable { .. }
            | Self::Stalled(_)
            | Self::Certificate { .. }
            | Self::NotARelay { .. } => Kind::Unreachable,
            Self::Refused { status, .. } => match status {
                401 | 403 => Kind::Login,
                404 => Kind::NotFound,
                429 | 502..=504 => Kind::Unreachable,
                400..=499 => Kind::Refused,
                _ => Kind::Other,
            },
            _ => Kind::Other,
        }
    }

    /// Whether the same request may well work in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled(_) => true,
            Self::NotARelay { status, .. } => matches!(status, 502..=504),
            _ => self.kind() == Kind::Unreachable && matches!(self, Self::Refused { .. }),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoRelay => {
                "`relay login URL` stores one for you; scripts set CORACLE_RELAY_URL and CORACLE_TOKEN"
            }
            Self::NoToken(url) => {
                return Some(format!(
                    "`relay login {url}` stores one; scripts set CORACLE_TOKEN or CORACLE_TOKEN_FILE"
                ));
            }
            Self::NoHome => "set XDG_CONFIG_HOME, or HOME",
            Self::Stored(..) => "`relay login URL` writes it anew",
            Self::Token => "a token is one line of letters and digits, as the relay printed it",
            Self::Authority => {
                "it must be the relay's CA in PEM; `relay serve --dev-ca DIR` writes DIR/ca.pem"
            }
            Self::Setup(_) => {
                "install the system's CA certificates, or name the relay's CA with --ca FILE"
            }
            Self::Unreachable { .. } | Self::Stalled(_) => {
                "is `relay serve` running there, and does the address have the right port?"
            }
            Self::Certificate { error, .. } => certificate_hint(error),
            Self::NotARelay { .. } => "check the address, and what stands between here and there",
            Self::Answer { .. } => {
                "is this a relay, and of about the same version? `relay whoami` shows its version"
            }
            Self::Refused { status, info } if info.hint.is_empty() => match status {
                401 => {
                    "`relay login URL` stores a new token; somebody with a good one makes it: `relay token create NAME --ttl 90d`"
                }
                429 | 502..=504 => "try again in a moment",
                500..=599 => "the relay's log says more",
                _ => return None,
            },
            Self::Refused { info, .. } => return Some(escape::text(&info.hint).into_owned()),
            _ => return None,
        };
        Some(hint.to_string())
    }
}

fn certificate_words(error: &rustls::CertificateError) -> String {
    use rustls::CertificateError as E;
    match error {
        E::UnknownIssuer => "its certificate is signed by an unknown CA".to_string(),
        E::NotValidForName => "its certificate is for another host".to_string(),
        E::Expired => "its certificate has expired".to_string(),
        other => other.to_string(),
    }
}

fn certificate_hint(error: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as E;
    match error {
        E::UnknownIssuer => {
            "name the CA that signed it with --ca FILE or CORACLE_RELAY_CA; `relay serve --dev-ca DIR` writes DIR/ca.pem"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "use the host name that the certificate is for, or give the relay one for this name"
        }
        E::Expired | E::ExpiredContext { .. } => "give the relay a new certificate",
        E::NotValidYet | E::NotValidYetContext { .. } => "is this machine's clock right?",
        _ => "check the relay's certificate and the CA",
    }
}

/// The certificate's fault, if that is what broke the connection.
fn certificate_error(error: &(dyn Error + 'static)) -> Option<rustls::CertificateError> {
    if let Some(rustls::Error::InvalidCertificate(error)) = error.downcast_ref() {
        return Some(error.clone());
    }
    // What an `io::Error` carries is not its `source`.
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match inner {
        Some(inner) => certificate_error(inner),
        None => certificate_error(error.source()?),
    }
}

/// The deepest cause, which says most.
fn deepest(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_string();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRelay => f.write_str("which relay? None is named, and nobody is logged in"),
            Self::NoToken(url) => write!(f, "there is no token for {url}"),
            Self::Url(place, error) => write!(f, "{place}: {error}"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Stored(path, error) => {
                write!(f, "{}: {}", path.display(), error.message())
            }
            Self::NoHome => f.write_str("there is no home folder to keep a login in"),
            Self::Token => f.write_str("that is no token"),
            Self::Authority => f.write_str("the CA file holds no certificate"),
            Self::Start(error) => write!(f, "the network cannot be used: {error}"),
            Self::Setup(error) => write!(f, "TLS cannot be set up: {}", deepest(error)),
            Self::Body(error) => write!(f, "the request cannot be written: {error}"),
            Self::Unreachable { url, error } => {
                write!(
                    f,
                    "{url} does not answer: {}",
                    escape::text(&deepest(error))
                )
            }
            Self::Stalled(url) => write!(f, "{url} has stopped taking the bundle"),
            Self::Certificate { url, error } => {
                write!(
                    f,
                    "{url} is not to be trusted: {}",
                    certificate_words(error)
                )
            }
            Self::Refused { info, .. } => f.write_str(&escape::text(&info.message)),
            Self::NotARelay { url, status } => {
                write!(f, "{url} answers {status}, and not as a relay does")
            }
            Self::Answer { url, error } => {
                let error = error.to_string();
                write!(
                    f,
                    "{url} answers what is not understood: {}",
                    escape::text(&error)
                )
            }
            Self::TooLarge { bytes_max } => {
                write!(f, "the relay's answer has more than {bytes_max} bytes")
            }
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(_, error) | Self::Start(error) => Some(error),
            Self::Setup(error) | Self::Unreachable { error, .. } => Some(error),
            _ => None,
        }
    }
}
