//! How services are connected: network modes, networks, published ports, hosts.
//!
//! Never chooses an address or a port: those are written down, or the device's.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use bundle::NetworkName;
use bundle::manifest::{NetworkAttachment, NetworkMode, Port, Protocol, Text};

use super::field::Field;
use super::map::Map;
use super::pairs;
use super::refusals::Place;

/// The network of services that name none.
pub(crate) const DEFAULT: &str = "default";

/// The networks that the file declares, `default` always among them.
pub(crate) fn declared(top: &mut Map<'_>) -> Vec<NetworkName> {
    let mut out: Vec<NetworkName> = DEFAULT.parse().into_iter().collect();
    for member in top
        .take("networks")
        .map(|field| field.members())
        .unwrap_or_default()
    {
        let mut map = member.value.map();
        if let Some(driver) = map.take("driver")
            && let Some(name) = driver.string()
            && name != "bridge"
        {
            driver.error(format_args!(
                "only the driver bridge is supported, not {name}"
            ));
        }
        map.finish(Place::Network);
        if let Some(name) = member.name::<NetworkName>()
            && !out.contains(&name)
        {
            out.push(name);
        }
    }
    out
}

/// `network_mode` and `networks` of a service.
pub(crate) fn mode(service: &mut Map<'_>, declared: &[NetworkName]) -> NetworkMode {
    let mode = service.take("network_mode");
    let networks = service.take("networks");
    let bridge = |networks: Option<&Field<'_>>| {
        NetworkMode::Bridge(match networks {
            Some(field) => attachments(field, declared),
            None => declared
                .first()
                .map(|network| NetworkAttachment {
                    network: network.clone(),
                    aliases: Vec::new(),
                })
                .into_iter()
                .collect(),
        })
    };
    let Some(field) = mode else {
        return bridge(networks.as_ref());
    };
    if let Some(networks) = &networks {
        networks.error("networks and network_mode exclude each other");
    }
    match field.string().as_deref() {
        Some("host") => NetworkMode::Host,
        Some("none") => NetworkMode::None,
        Some("bridge") | None => bridge(None),
        Some(other) => {
            field.error(format_args!(
                "not supported: {other}; expected host, none or bridge"
            ));
            NetworkMode::None
        }
    }
}

fn attachments(field: &Field<'_>, declared: &[NetworkName]) -> Vec<NetworkAttachment> {
    let known = |field: &Field<'_>, name: NetworkName| {
        if declared.contains(&name) {
            Some(name)
        } else {
            field.error(format_args!("the network {name} is not under networks:"));
            None
        }
    };
    if field.is_map() {
        field
            .members()
            .into_iter()
            .filter_map(|member| {
                let network = known(&member.value, member.name()?)?;
                let mut map = member.value.map();
                let aliases = map
                    .take("aliases")
                    .map(|aliases| aliases.texts())
                    .unwrap_or_default();
                map.finish(Place::Network);
                Some(NetworkAttachment { network, aliases })
            })
            .collect()
    } else {
        field
            .list()
            .into_iter()
            .filter_map(|item| {
                Some(NetworkAttachment {
                    network: known(&item, item.parse()?)?,
                    aliases: Vec::new(),
                })
            })
            .collect()
    }
}

/// `ports` of a service.
pub(crate) fn ports(field: &Field<'_>) -> Vec<Port> {
    field
        .list()
        .iter()
        .flat_map(|item| {
            if item.is_map() {
                long(item)
            } else {
                short(item)
            }
        })
        .collect()
}

/// `[IP:]HOST[-END]:CONTAINER[-END][/PROTOCOL]`
fn short(field: &Field<'_>) -> Vec<Port> {
    let Some(text) = field.string() else {
        return Vec::new();
    };
    let (rest, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    let Some((rest, container)) = rest.rsplit_once(':') else {
        field.error("the device's port must be fixed: write HOST:CONTAINER");
        return Vec::new();
    };
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (Some(ip), host),
        None => (None, rest),
    };
    let ip = match ip.map(|ip| host_ip(field, ip)) {
        Some(None) => return Vec::new(),
        Some(ip) => ip,
        None => None,
    };
    publish(field, ip, host, container, protocol)
}

fn long(field: &Field<'_>) -> Vec<Port> {
    let mut map = field.map();
    let container = map.require("target").and_then(|target| target.string());
    let host = map.require("published").and_then(|host| host.string());
    let ip = map
        .take("host_ip")
        .and_then(|ip| host_ip(&ip, &ip.string()?));
    let protocol = map
        .take("protocol")
        .and_then(|protocol| protocol.string())
        .unwrap_or_else(|| "tcp".to_string());
    if let Some(mode) = map.take("mode")
        && mode.string().is_some_and(|mode| mode != "host")
    {
        mode.error("only the mode host is supported");
    }
    map.finish(Place::Other);
    match (host, container) {
        (Some(host), Some(container)) => publish(field, ip, &host, &container, &protocol),
        _ => Vec::new(),
    }
}

fn host_ip(field: &Field<'_>, ip: &str) -> Option<Text> {
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    match bare.unwrap_or(ip).parse::<IpAddr>() {
        Ok(ip) => field.to_text(ip.to_string()),
        Err(_) => {
            field.error(format_args!("{ip:?} is no IP address"));
            None
        }
    }
}

fn publish(
    field: &Field<'_>,
    host_ip: Option<Text>,
    host: &str,
    container: &str,
    protocol: &str,
) -> Vec<Port> {
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => {
            field.error(format_args!("the protocol is tcp or udp, not {other:?}"));
            return Vec::new();
        }
    };
    let (Some(hosts), Some(containers)) = (range(field, host), range(field, container)) else {
        return Vec::new();
    };
    if hosts.len() != containers.len() {
        field.error("both port ranges must be equally long");
        return Vec::new();
    }
    hosts
        .zip(containers)
        .map(|(host, container)| Port {
            host_ip: host_ip.clone(),
            host,
            container,
            protocol,
        })
        .collect()
}

/// `80` or `8000-8010`.
fn range(field: &Field<'_>, text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first > 0 && first <= last => Some(first..=last),
        _ => {
            field.error(format_args!(
                "expected a port from 1 to 65535 or a range of them, not {text:?}"
            ));
            None
        }
    }
}

/// `extra_hosts` of a service.
pub(crate) fn extra_hosts(field: &Field<'_>) -> Vec<(Text, Text)> {
    let hosts = pairs::texts(field, &['=', ':']);
    hosts
        .into_iter()
        .filter_map(|(name, address)| match address.as_str() {
            "host-gateway" => Some((name, address)),
            ip => Some((name, host_ip(field, ip)?)),
        })
        .collect()
}
