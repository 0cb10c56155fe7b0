//! Clauses B31 to B35: networks, ports, host names.

use super::base::*;
use crate::Manifest;
use crate::manifest::{NetworkAttachment, NetworkMode, Port, Protocol};

fn attachments(m: &mut Manifest) -> &mut Vec<NetworkAttachment> {
    match &mut m.services[0].network {
        NetworkMode::Bridge(attachments) => attachments,
        other => panic!("the sample is in bridge mode, not {other:?}"),
    }
}

fn second_port(m: &mut Manifest, host_ip: Option<&str>, host: u16, protocol: Protocol) {
    m.services[1].ports.push(Port {
        host_ip: host_ip.map(text),
        host,
        container: 1883,
        protocol,
    });
}

#[test]
fn networks_that_do_not_exist_are_refused() {
    refuses(&[
        ("an undeclared network", "B31", |m| {
            attachments(m)[0].network = network("other")
        }),
        ("none declared", "B31", |m| m.networks.clear()),
        ("one network twice", "B31", |m| {
            let again = attachments(m)[0].clone();
            attachments(m).push(again);
        }),
        ("bridge mode without a network", "B31", |m| {
            attachments(m).clear()
        }),
    ]);
}

#[test]
fn ports_outside_bridge_mode_are_refused() {
    refuses(&[
        ("host mode", "B32", |m| {
            m.services[0].network = NetworkMode::Host
        }),
        ("no network", "B32", |m| {
            m.services[0].network = NetworkMode::None
        }),
    ]);
}

#[test]
fn port_zero_and_addresses_that_are_none_are_refused() {
    refuses(&[
        ("host port 0", "B33", |m| m.services[0].ports[0].host = 0),
        ("container port 0", "B33", |m| {
            m.services[0].ports[0].container = 0
        }),
        ("a name", "B33", |m| {
            m.services[0].ports[0].host_ip = Some(text("localhost"))
        }),
        ("an injected option", "B33", |m| {
            m.services[0].ports[0].host_ip = Some(text("10.0.0.1:22:22"));
        }),
        ("an empty address", "B33", |m| {
            m.services[0].ports[0].host_ip = Some(text(""))
        }),
    ]);
    accepts(&[
        ("IPv4", |m| {
            m.services[0].ports[0].host_ip = Some(text("127.0.0.1"))
        }),
        ("IPv6", |m| {
            m.services[0].ports[0].host_ip = Some(text("::1"))
        }),
    ]);
}

#[test]
fn a_device_port_published_twice_is_refused() {
    refuses(&[
        ("in one service", "B34", |m| {
            let again = m.services[0].ports[0].clone();
            m.services[0].ports.push(again);
        }),
        ("in two services", "B34", |m| {
            second_port(m, None, 8080, Protocol::Tcp)
        }),
        ("one address of all", "B34", |m| {
            second_port(m, Some("10.0.0.1"), 8080, Protocol::Tcp)
        }),
        ("all addresses by name", "B34", |m| {
            m.services[0].ports[0].host_ip = Some(text("10.0.0.1"));
            second_port(m, Some("0.0.0.0"), 8080, Protocol::Tcp);
        }),
    ]);
    accepts(&[
        ("another protocol", |m| {
            second_port(m, None, 8080, Protocol::Udp)
        }),
        ("another port", |m| {
            second_port(m, None, 8081, Protocol::Tcp)
        }),
        ("another address", |m| {
            m.services[0].ports[0].host_ip = Some(text("10.0.0.1"));
            second_port(m, Some("10.0.0.2"), 8080, Protocol::Tcp);
        }),
        ("one container port twice", |m| {
            let mut again = m.services[0].ports[0].clone();
            again.host = 8081;
            m.services[0].ports.push(again);
        }),
    ]);
}

#[test]
fn host_names_that_are_none_are_refused() {
    refuses(&[
        ("a hostname with a line break", "B35", |m| {
            m.services[0].hostname = Some(text("a\n127.0.0.1 b"));
        }),
        ("an empty hostname", "B35", |m| {
            m.services[0].hostname = Some(text(""))
        }),
        ("an alias with a space", "B35", |m| {
            attachments(m)[0].aliases.push(text("a b"))
        }),
        ("a hosts line with a line break", "B35", |m| {
            m.services[0].extra_hosts[0].0 = text("a\nb");
        }),
        ("a hosts line with a name for an address", "B35", |m| {
            m.services[0].extra_hosts[0].1 = text("example.org");
        }),
    ]);
    accepts(&[("the device itself", |m| {
        m.services[0].extra_hosts[0].1 = text("host-gateway");
    })]);
}
