//! Clauses B31 to B34: networks, ports and host names.

use std::net::IpAddr;

use super::{ensure, once};
use crate::Manifest;
use crate::error::{Refused, Rule};
use crate::manifest::{NetworkMode, Port, Service};

const NETWORKS: Rule = Rule {
    clause: "B31",
    text: "a service in bridge mode is on at least one network of the app, on each once",
};
const BRIDGE_ONLY: Rule = Rule {
    clause: "B32",
    text: "only a service in bridge mode publishes ports",
};
const PORT: Rule = Rule {
    clause: "B33",
    text: "a port is not 0, and its address is an IP address",
};
const CONFLICT: Rule = Rule {
    clause: "B34",
    text: "a port of the device is published once",
};
const HOST_NAME: Rule = Rule {
    clause: "B35",
    text: "host names and aliases consist of letters, digits, '-', '_' and '.', and /etc/hosts \
           lines name an IP address or host-gateway",
};

pub(super) fn check_service(manifest: &Manifest, service: &Service) -> Result<(), Refused> {
    let place = || format!("service {}", service.name);
    if let NetworkMode::Bridge(attachments) = &service.network {
        ensure(!attachments.is_empty(), NETWORKS, place)?;
        once(
            attachments,
            |a| &a.network,
            NETWORKS,
            |name| format!("service {}, network {name}", service.name),
        )?;
        for attachment in attachments {
            ensure(
                manifest.networks.contains(&attachment.network),
                NETWORKS,
                || format!("service {}, network {}", service.name, attachment.network),
            )?;
            let sound = attachment.aliases.iter().all(|alias| is_host_name(alias));
            ensure(sound, HOST_NAME, place)?;
        }
    } else {
        ensure(service.ports.is_empty(), BRIDGE_ONLY, place)?;
    }
    let hostname = service.hostname.as_deref().is_none_or(is_host_name);
    ensure(hostname, HOST_NAME, place)?;
    let extra = service.extra_hosts.iter().all(|(name, address)| {
        is_host_name(name)
            && (address.as_str() == "host-gateway" || address.parse::<IpAddr>().is_ok())
    });
    ensure(extra, HOST_NAME, place)?;
    for port in &service.ports {
        let sound = port.host != 0
            && port.container != 0
            && port
                .host_ip
                .as_ref()
                .is_none_or(|ip| ip.parse::<IpAddr>().is_ok());
        ensure(sound, PORT, || {
            format!("service {}, port {}", service.name, port.host)
        })?;
    }
    Ok(())
}

/// Clause B34, across all services.
pub(super) fn check_ports(manifest: &Manifest) -> Result<(), Refused> {
    let all: Vec<(&Service, &Port)> = manifest
        .services
        .iter()
        .flat_map(|service| service.ports.iter().map(move |port| (service, port)))
        .collect();
    for (i, (service, port)) in all.iter().enumerate() {
        let taken = all[..i].iter().any(|(_, other)| conflict(port, other));
        ensure(!taken, CONFLICT, || {
            format!("service {}, port {}", service.name, port.host)
        })?;
    }
    Ok(())
}

fn conflict(a: &Port, b: &Port) -> bool {
    a.host == b.host && a.protocol == b.protocol && {
        match (address(a), address(b)) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
    }
}

/// The address that a port listens on; none means all.
fn address(port: &Port) -> Option<IpAddr> {
    let ip: IpAddr = port.host_ip.as_ref()?.parse().ok()?;
    (!ip.is_unspecified()).then_some(ip)
}

fn is_host_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=253).contains(&name.len())
        && name.bytes().all(inner)
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
}
