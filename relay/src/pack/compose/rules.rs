//! What must fit between services, and between services and policy.
//!
//! The agent refuses most of this too; here it comes with the place in the file.

use bundle::ServiceName;
use bundle::manifest::{Condition, NetworkMode, Policy, Port, Restart, SwitchMode};

use super::field::Field;
use super::service::Read;

/// Notes everything that does not fit.
pub(crate) fn check(services: &[Read<'_>], policy: &Policy, extension: Option<&Field<'_>>) {
    for read in services {
        dependencies(read, services);
        ports(read, services);
        targets(read);
        overlap(read, policy);
    }
    for name in cycle(services) {
        if let Some(read) = services.iter().find(|read| read.service.name == name) {
            read.field
                .error("depends_on: services wait for each other in a circle");
        }
    }
    if let Some(field) = extension {
        restored(field, services, policy);
    }
}

fn dependencies(read: &Read<'_>, services: &[Read<'_>]) {
    for dependency in &read.service.depends_on {
        let name = &dependency.service;
        match services.iter().find(|other| other.service.name == *name) {
            None => read
                .field
                .error(format_args!("depends_on: {name} is not under services:")),
            Some(other)
                if dependency.condition == Condition::Healthy && other.service.health.is_none() =>
            {
                read.field.error(format_args!(
                    "depends_on: {name} has no health check, so it never becomes healthy"
                ));
            }
            Some(other)
                if dependency.condition == Condition::CompletedSuccessfully
                    && other.service.restart == Restart::Always =>
            {
                read.field.error(format_args!(
                    "depends_on: {name} is always restarted, so it never completes"
                ));
            }
            Some(_) => {}
        }
    }
}

/// The services that wait for themselves, directly or through others.
fn cycle(services: &[Read<'_>]) -> Vec<ServiceName> {
    let mut open: Vec<&Read<'_>> = services.iter().collect();
    loop {
        let before = open.len();
        let names: Vec<ServiceName> = open.iter().map(|read| read.service.name.clone()).collect();
        open.retain(|read| {
            let waits = &read.service.depends_on;
            waits
                .iter()
                .any(|dependency| names.contains(&dependency.service))
        });
        if open.len() == before {
            // What is left waits for something that is left; only those on the circle matter,
            // but all of them never start.
            return names;
        }
    }
}

fn ports(read: &Read<'_>, services: &[Read<'_>]) {
    let service = &read.service;
    if !service.ports.is_empty() && !matches!(service.network, NetworkMode::Bridge(_)) {
        read.field.error("ports: work with bridge networks only; with network_mode: host the service listens on the device's ports itself");
    }
    for (index, port) in service.ports.iter().enumerate() {
        let earlier = services
            .iter()
            .take_while(|other| other.service.name != service.name)
            .flat_map(|other| &other.service.ports)
            .chain(&service.ports[..index]);
        if earlier.into_iter().any(|other| collide(port, other)) {
            read.field.error(format_args!(
                "ports: the device's port {} is published twice",
                port.host
            ));
        }
    }
}

fn collide(a: &Port, b: &Port) -> bool {
    a.host == b.host
        && a.protocol == b.protocol
        && (a.host_ip == b.host_ip || a.host_ip.is_none() || b.host_ip.is_none())
}

fn targets(read: &Read<'_>) {
    let service = &read.service;
    let mut targets: Vec<&str> = Vec::new();
    targets.extend(service.volumes.iter().map(|mount| mount.target.as_str()));
    targets.extend(service.binds.iter().map(|mount| mount.target.as_str()));
    targets.extend(service.tmpfs.iter().map(|mount| mount.target.as_str()));
    targets.extend(service.files.iter().map(|mount| mount.target.as_str()));
    targets.extend(service.devices.iter().map(|device| device.target.as_str()));
    targets.sort_unstable();
    for pair in targets.windows(2) {
        if pair[0] == pair[1] {
            read.field
                .error(format_args!("{} is mounted twice", pair[0]));
        }
    }
}

/// With start-first, old and new run side by side for a moment.
fn overlap(read: &Read<'_>, policy: &Policy) {
    if policy.switch != SwitchMode::StartFirst {
        return;
    }
    let service = &read.service;
    if !service.ports.is_empty() {
        read.field.error("x-coracle.switch: start-first cannot work with published ports, which old and new would both need");
    }
    if service.volumes.iter().any(|mount| !mount.read_only) {
        read.field.error(
            "x-coracle.switch: start-first would let old and new write one volume at the same time",
        );
    }
}

fn restored(field: &Field<'_>, services: &[Read<'_>], policy: &Policy) {
    for volume in &policy.restore_on_rollback {
        let used = services
            .iter()
            .flat_map(|read| &read.service.volumes)
            .any(|mount| mount.volume == *volume);
        if !used {
            field.error(format_args!(
                "restore_on_rollback: no service mounts the volume {volume}"
            ));
        }
    }
}
