//! A relay's address: HTTPS, or plain HTTP on this machine.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// Where a relay is. The path of its API comes after the address's own, so that a relay may live
/// below a path of a proxy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelayUrl(Url);

/// Why a text is no relay's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    /// No URL at all, or one of another kind.
    Form,
    /// Plain HTTP to another machine, which would show the token to everybody between.
    Plain,
    /// It carries a user, a query or a fragment.
    Extra,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "expected an address such as https://relay.example.com",
            Self::Plain => {
                "plain http only to this machine: anybody between would read the token; use https"
            }
            Self::Extra => "a relay's address has no user, no `?` and no `#`",
        })
    }
}

impl std::error::Error for UrlError {}

impl FromStr for RelayUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let mut url: Url = text.trim().parse().map_err(|_| UrlError::Form)?;
        let extra = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        match url.scheme() {
            "https" | "http" if url.host_str().is_none() => return Err(UrlError::Form),
            "https" | "http" if extra => return Err(UrlError::Extra),
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(UrlError::Plain),
            _ => return Err(UrlError::Form),
        }
        let path = url.path().trim_end_matches('/').to_string();
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl fmt::Display for RelayUrl {
    /// As it is shown, stored and compared: without a slash at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl RelayUrl {
    /// Whether the relay is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Whether it is spoken to without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// A path below `/api/v1/`, each part of it escaped.
    pub(crate) fn api(&self, path: &[&str]) -> Url {
        let mut url = self.0.clone();
        // Fails only for URLs without a host, of which this is none.
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        url
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<String, UrlError> {
        text.parse::<RelayUrl>().map(|url| url.to_string())
    }

    #[test]
    fn a_token_never_goes_over_a_plain_line() {
        for text in [
            "http://relay.example.com",
            "http://10.0.0.1:8443",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
        ] {
            assert_eq!(url(text), Err(UrlError::Plain), "{text}");
        }
        for text in [
            "http://localhost:8080",
            "http://127.0.0.1:1",
            "http://[::1]:1",
        ] {
            assert_eq!(url(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn one_relay_has_one_spelling() {
        for text in [
            "https://Relay.example.com:443/",
            " https://relay.example.com",
            "https://relay.example.com//",
        ] {
            assert_eq!(
                url(text).as_deref(),
                Ok("https://relay.example.com"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "",
            "relay.example.com",
            "localhost:8443",
            "ftp://relay",
            "file:///etc",
        ] {
            assert_eq!(url(text), Err(UrlError::Form), "{text}");
        }
        for text in ["https://u:p@relay", "https://relay?x", "https://relay#x"] {
            assert_eq!(url(text), Err(UrlError::Extra), "{text}");
        }
    }

    #[test]
    fn parts_of_a_path_cannot_leave_it() {
        let below = "https://proxy.example.com/site-a/"
            .parse::<RelayUrl>()
            .unwrap();
        for (part, wanted) in [
            ("dev-1", "dev-1"),
            ("../tokens", "..%2Ftokens"),
            ("a?b#c%2f", "a%3Fb%23c%252f"),
        ] {
            assert_eq!(
                below.api(&["devices", part]).as_str(),
                format!("https://proxy.example.com/site-a/api/v1/devices/{wanted}")
            );
        }
    }
}
