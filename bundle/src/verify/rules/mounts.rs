//! Clauses B36 to B39: paths, mounts, devices.
//!
//! Paths are judged as text: no path that means one thing here may mean another to a runtime.

use super::{ensure, once};
use crate::Manifest;
use crate::error::{Refused, Rule};
use crate::manifest::Service;

/// Where the agent binds its application socket in a service that asks for it.
const API_SOCKET: &str = "/run/coracle/app.sock";

const PATH: Rule = Rule {
    clause: "B36",
    text: "a path is absolute and normal: no '.', no '..', no '//', no '/' at its end, no control \
           character",
};
const TARGET: Rule = Rule {
    clause: "B37",
    text: "nothing is mounted over '/', and one thing at most at each place",
};
const VOLUME: Rule = Rule {
    clause: "B38",
    text: "a mounted volume is declared, a file has no mode above 777, and a memory file system \
           has room",
};
const DEVICE: Rule = Rule {
    clause: "B39",
    text: "a device's permissions are letters of 'rwm', each at most once",
};

pub(super) fn check_service(manifest: &Manifest, service: &Service) -> Result<(), Refused> {
    let place = || format!("service {}", service.name);
    let sources = service
        .binds
        .iter()
        .map(|bind| &bind.source)
        .chain(service.devices.iter().map(|device| &device.source))
        .chain(service.working_dir.as_ref());
    for path in sources {
        ensure(is_normal(path), PATH, || {
            format!("service {}, path {path:?}", service.name)
        })?;
    }
    let targets: Vec<&str> = service
        .volumes
        .iter()
        .map(|volume| volume.target.as_str())
        .chain(service.binds.iter().map(|bind| bind.target.as_str()))
        .chain(service.tmpfs.iter().map(|tmpfs| tmpfs.target.as_str()))
        .chain(service.files.iter().map(|file| file.target.as_str()))
        .chain(service.devices.iter().map(|device| device.target.as_str()))
        .chain(service.api.then_some(API_SOCKET))
        .collect();
    for target in &targets {
        let place = || format!("service {}, path {target:?}", service.name);
        ensure(is_normal(target), PATH, place)?;
        ensure(*target != "/", TARGET, place)?;
    }
    once(
        &targets,
        |target| *target,
        TARGET,
        |target| format!("service {}, path {target:?}", service.name),
    )?;
    let volumes = service
        .volumes
        .iter()
        .all(|mount| manifest.volumes.contains(&mount.volume));
    let modes = service.files.iter().all(|file| file.mode <= 0o777);
    let room = service.tmpfs.iter().all(|tmpfs| tmpfs.bytes_max != Some(0));
    ensure(volumes && modes && room, VOLUME, place)?;
    let devices = service
        .devices
        .iter()
        .all(|device| are_permissions(&device.permissions));
    ensure(devices, DEVICE, place)
}

/// Whether a path is absolute and normal; `/` is.
fn is_normal(path: &str) -> bool {
    let parts = path.strip_prefix('/').unwrap_or("");
    let sound = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.chars().any(char::is_control)
    };
    path == "/" || (path.starts_with('/') && parts.split('/').all(sound))
}

fn are_permissions(letters: &str) -> bool {
    let bytes = letters.as_bytes();
    !bytes.is_empty()
        && bytes.iter().all(|b| b"rwm".contains(b))
        && (1..bytes.len()).all(|i| !bytes[..i].contains(&bytes[i]))
}
