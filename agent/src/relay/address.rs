//! Addresses: the relay's, those of bundles, and which of them are the relay's own.
//!
//! Decides what may be asked of whom before anything is sent. Never resolves a name.

use std::net::IpAddr;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

/// Most bytes of an address.
const URL_BYTES_MAX: usize = 2 << 10;

/// The address of a relay: scheme, host, port, and what a proxy puts before the paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// As it was given, without a slash at its end.
    url: String,
    origin: Origin,
    /// The part of the path that comes before `/device/`.
    prefix: String,
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The whole URL.
    pub(super) url: String,
    /// The path that is signed; none if the request is not to be.
    pub(super) signed: Option<String>,
    /// Whether it goes to the relay's own origin.
    pub(super) own: bool,
}

/// Why an address cannot be used, in words that go on from "it must be".
pub(crate) type Rule = &'static str;

const RULE: Rule = "an address like https://relay.example, without a name or password in it";

impl Address {
    /// Reads the address of a relay.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, Rule> {
        let url = text.trim_end_matches('/');
        let (origin, uri) = split(url)?;
        if !origin.tls && !origin.is_loopback() {
            return Err("an address with https: plain http is for this very host only");
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(RULE);
        }
        Ok(Self {
            prefix: uri.path().trim_end_matches('/').to_owned(),
            url: url.to_owned(),
            origin,
        })
    }

    /// As it was given, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is spoken to with TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.origin.tls
    }

    /// A path of the protocol, at this relay.
    pub(super) fn at(&self, path: &str) -> Target {
        Target {
            url: format!("{}{path}", self.url),
            signed: Some(path.to_owned()),
            own: true,
        }
    }

    /// What a relay names: an absolute URL, or a path at the relay (clause D40).
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn named(&self, url: &str) -> Result<Target, Rule> {
        if url.starts_with('/') && !url.starts_with("//") {
            let target = format!("{}{url}", self.url);
            let (origin, _) = split(&target)?;
            if origin != self.origin {
                return Err(RULE);
            }
            return Ok(self.at(url));
        }
        let (origin, uri) = split(url)?;
        if origin == self.origin {
            let whole = uri.path_and_query().map_or("/", |whole| whole.as_str());
            let path = whole.strip_prefix(&self.prefix).unwrap_or(whole);
            return Ok(Target {
                url: url.to_owned(),
                signed: path.starts_with("/device/").then(|| path.to_owned()),
                own: true,
            });
        }
        // A relay must not have the device ask the services of its own host, unless it is one.
        if !origin.tls && (self.origin.tls || !origin.is_loopback()) {
            return Err("an address with https");
        }
        Ok(Target {
            url: url.to_owned(),
            signed: None,
            own: false,
        })
    }
}

impl Origin {
    fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

fn split(url: &str) -> Result<(Origin, Uri), Rule> {
    if url.len() > URL_BYTES_MAX || url.contains(|c: char| c.is_control() || c == ' ') {
        return Err(RULE);
    }
    let uri: Uri = url.parse().map_err(|_| RULE)?;
    let tls = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        _ => return Err(RULE),
    };
    let authority = uri.authority().ok_or(RULE)?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(RULE);
    }
    let usual = if tls { 443 } else { 80 };
    let origin = Origin {
        tls,
        host: authority.host().to_ascii_lowercase(),
        port: authority.port_u16().unwrap_or(usual),
    };
    Ok((origin, uri))
}

/// The proxy on the way: the configured one, else the environment's (`https_proxy`, and
/// `no_proxy` for whom it is not). What it says of a name and password stays in it.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn proxy(
    configured: Option<&str>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<ureq::Proxy>, Rule> {
    const PROXY: Rule = "an HTTP proxy, like http://proxy.example:3128";
    let variable = |lower: &str| {
        let value = environment(lower).or_else(|| environment(&lower.to_ascii_uppercase()));
        value.filter(|value| !value.is_empty())
    };
    let from_environment = variable("https_proxy");
    let Some(text) = configured.or(from_environment.as_deref()) else {
        return Ok(None);
    };
    let proxy = ureq::Proxy::new(text).map_err(|_| PROXY)?;
    if !matches!(
        proxy.protocol(),
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https
    ) {
        return Err(PROXY);
    }
    if configured.is_some() {
        return Ok(Some(proxy));
    }
    let mut builder = ureq::Proxy::builder(proxy.protocol())
        .host(proxy.host())
        .port(proxy.port());
    if let Some(name) = proxy.username() {
        builder = builder.username(name);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password);
    }
    for except in variable("no_proxy").unwrap_or_default().split(',') {
        builder = builder.no_proxy(except.trim());
    }
    builder.build().map(Some).map_err(|_| PROXY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_relays_are_read() {
        for (text, good) in [
            ("https://relay.example", true),
            ("https://relay.example/", true),
            ("https://relay.example:8443/site/7/", true),
            ("https://[2001:db8::1]:8443", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://localhost:8080", true),
            ("http://relay.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://10.0.0.1", false),
            ("https://name:password@relay.example", false),
            ("https://relay.example/?a=b", false),
            ("https://relay.example/#a", false),
            ("https://", false),
            ("relay.example", false),
            ("ftp://relay.example", false),
            ("https://relay example", false),
            ("https://relay.example\n", false),
            ("", false),
        ] {
            assert_eq!(Address::parse(text).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn only_what_goes_to_the_relay_is_signed() {
        let relay = Address::parse("https://relay.example/site/").unwrap();
        let ours = |path: &str| Some(path.to_owned());
        for (url, wanted) in [
            (
                "/device/v1/bundles/f2",
                Some((true, ours("/device/v1/bundles/f2"))),
            ),
            (
                "https://relay.example/site/device/v1/b?x=1",
                Some((true, ours("/device/v1/b?x=1"))),
            ),
            (
                "https://RELAY.example:443/site/device/v1/b",
                Some((true, ours("/device/v1/b"))),
            ),
            ("https://relay.example/files/b", Some((true, None))),
            ("https://cdn.example/device/v1/b", Some((false, None))),
            (
                "https://relay.example:8443/device/v1/b",
                Some((false, None)),
            ),
            (
                "https://relay.example.evil.example/device/v1/b",
                Some((false, None)),
            ),
            ("https://relay.example@evil.example/device/v1/b", None),
            ("http://relay.example/device/v1/b", None),
            ("http://127.0.0.1:8080/reboot", None),
            ("http://localhost/", None),
            ("//evil.example/b", None),
            ("file:///etc/passwd", None),
            ("device/v1/b", None),
            ("/device/v1/b c", None),
            ("", None),
        ] {
            let target = relay.named(url).ok();
            let found = target.map(|target| (target.own, target.signed));
            assert_eq!(found, wanted, "{url}");
        }
        let paths = relay.named("/device/v1/b").unwrap();
        assert_eq!(paths.url, "https://relay.example/site/device/v1/b");
    }

    #[test]
    fn a_path_cannot_become_part_of_the_host() {
        let relay = Address::parse("https://relay.example").unwrap();
        for url in [
            "@evil.example/x",
            ":8443/x",
            ".evil.example/x",
            "/\\evil.example",
        ] {
            let named = relay.named(url);
            assert!(named.is_err() || named.is_ok_and(|t| t.own), "{url}");
        }
    }

    #[test]
    fn the_proxy_comes_from_the_configuration_then_from_the_environment() {
        let environment = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://user:secret@env.example:3128".to_owned()),
            "no_proxy" => Some("relay.example, .local".to_owned()),
            _ => None,
        };
        let none = |_: &str| None;
        assert!(proxy(None, &none).unwrap().is_none());
        let configured = proxy(Some("http://conf.example"), &environment);
        let configured = configured.unwrap().unwrap();
        assert_eq!((configured.host(), configured.port()), ("conf.example", 80));
        let found = proxy(None, &environment).unwrap().unwrap();
        assert_eq!((found.host(), found.port()), ("env.example", 3128));
        assert_eq!(found.password(), Some("secret"));
        let is_past = |url: &str| found.is_no_proxy(&url.parse().unwrap());
        assert!(is_past("https://relay.example/x") && is_past("https://a.local/"));
        assert!(!is_past("https://other.example/"));
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
        assert!(proxy(Some("socks5://conf.example"), &none).is_err());
        assert!(proxy(Some("http://"), &none).is_err());
    }
}
