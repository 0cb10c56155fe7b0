//! From where a request comes: the address of the connection, or what a proxy on this machine says
//! of it.
//!
//! Never takes a header's word from anybody but a loopback peer without TLS, which is a proxy.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    address: IpAddr,
    proxy: bool,
}

impl Peer {
    /// Over TLS: itself.
    pub(crate) fn tls(peer: SocketAddr) -> Self {
        Self {
            address: peer.ip().to_canonical(),
            proxy: false,
        }
    }

    /// Without TLS, which only a loopback address listens for: a proxy, or somebody on this
    /// machine.
    pub(crate) fn plain(peer: SocketAddr) -> Self {
        Self {
            proxy: peer.ip().to_canonical().is_loopback(),
            ..Self::tls(peer)
        }
    }

    /// Where the request comes from. Behind a proxy that is the last address of
    /// `X-Forwarded-For`, the one which the proxy itself has added.
    pub(crate) fn address(self, headers: &HeaderMap) -> IpAddr {
        if !self.proxy {
            return self.address;
        }
        let last = headers.get_all("x-forwarded-for").iter().next_back();
        let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        let address = last.and_then(|last| last.trim().parse::<IpAddr>().ok());
        address.map_or(self.address, |address| address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_is_believed() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "203.0.113.9".parse().unwrap());
        headers.append("x-forwarded-for", "1.2.3.4, 198.51.100.7".parse().unwrap());
        let peer = "127.0.0.1:5".parse().unwrap();
        assert_eq!(
            Peer::plain(peer).address(&headers).to_string(),
            "198.51.100.7"
        );
        assert_eq!(Peer::tls(peer).address(&headers).to_string(), "127.0.0.1");
        let beyond = "192.0.2.1:5".parse().unwrap();
        assert_eq!(
            Peer::plain(beyond).address(&headers).to_string(),
            "192.0.2.1"
        );
        headers.append("x-forwarded-for", "unknown".parse().unwrap());
        assert_eq!(Peer::plain(peer).address(&headers).to_string(), "127.0.0.1");
    }
}
