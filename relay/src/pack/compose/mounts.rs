//! What is mounted into a container: named volumes, paths of the device, memory, device nodes.
//!
//! Never mounts a file of the packing machine: a relative source is an error that says how files
//! get into a bundle.

use bundle::VolumeName;
use bundle::manifest::{BindMount, Device, Text, Tmpfs, VolumeMount};

use super::field::Field;
use super::map::Map;
use super::refusals::Place;
use super::units;

/// The mounts of a service.
#[derive(Default)]
pub(crate) struct Mounts {
    pub(crate) volumes: Vec<VolumeMount>,
    pub(crate) binds: Vec<BindMount>,
    pub(crate) tmpfs: Vec<Tmpfs>,
}

/// The volumes that the file declares.
pub(crate) fn declared(top: &mut Map<'_>) -> Vec<VolumeName> {
    top.take("volumes")
        .map(|field| field.members())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|member| {
            let mut map = member.value.map();
            if let Some(driver) = map.take("driver")
                && driver.string().is_some_and(|name| name != "local")
            {
                driver.error("only the driver local is supported");
            }
            map.finish(Place::Volume);
            member.name()
        })
        .collect()
}

/// `volumes` and `tmpfs` of a service.
pub(crate) fn mounts(service: &mut Map<'_>, declared: &[VolumeName]) -> Mounts {
    let mut out = Mounts::default();
    for item in service
        .take("volumes")
        .map(|field| field.list())
        .unwrap_or_default()
    {
        if item.is_map() {
            long(&item, declared, &mut out);
        } else {
            short(&item, declared, &mut out);
        }
    }
    for item in service
        .take("tmpfs")
        .map(|field| field.one_or_many())
        .unwrap_or_default()
    {
        out.tmpfs.extend(tmpfs(&item));
    }
    out
}

/// `SOURCE:TARGET[:ro|rw]`
fn short(field: &Field<'_>, declared: &[VolumeName], out: &mut Mounts) {
    let Some(text) = field.string() else { return };
    let mut parts = text.splitn(3, ':');
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        field.error("an anonymous volume is lost with its container: write NAME:PATH");
        return;
    };
    let read_only = match parts.next() {
        None | Some("rw") => false,
        Some("ro") => true,
        Some(other) => {
            field.error(format_args!(
                "the option {other} is not supported: only ro and rw"
            ));
            return;
        }
    };
    if source.starts_with(['/', '.', '~']) {
        bind(field, source, target, read_only, out);
    } else {
        volume(field, source, target, read_only, declared, out);
    }
}

fn long(field: &Field<'_>, declared: &[VolumeName], out: &mut Mounts) {
    let mut map = field.map();
    let kind = map.require("type").and_then(|kind| kind.string());
    let target = map.require("target").and_then(|target| target.string());
    let read_only = map
        .take("read_only")
        .and_then(|read_only| read_only.bool())
        .unwrap_or(false);
    let (Some(kind), Some(target)) = (kind, target) else {
        return;
    };
    match kind.as_str() {
        "volume" | "bind" => {
            if let Some(source) = map.require("source").and_then(|source| source.string()) {
                if kind == "bind" {
                    bind(field, &source, &target, read_only, out);
                } else {
                    volume(field, &source, &target, read_only, declared, out);
                }
            }
        }
        "tmpfs" => {
            let mut bytes_max = None;
            if let Some(options) = map.take("tmpfs") {
                let mut options = options.map();
                bytes_max = options.take("size").and_then(|size| size.bytes());
                options.finish(Place::Other);
            }
            if let Some(target) = field.to_absolute(target) {
                out.tmpfs.push(Tmpfs { target, bytes_max });
            }
        }
        other => field.error(format_args!(
            "the type {other} is not supported: only volume, bind and tmpfs"
        )),
    }
    map.finish(Place::Other);
}

fn bind(field: &Field<'_>, source: &str, target: &str, read_only: bool, out: &mut Mounts) {
    if !source.starts_with('/') {
        field.error(format_args!(
            "{source} is a file of this machine, not of the device: pack it with configs: or x-coracle.files, or bind an absolute path of the device"
        ));
        return;
    }
    if let (Some(source), Some(target)) = (
        field.to_absolute(source.to_string()),
        field.to_absolute(target.to_string()),
    ) {
        out.binds.push(BindMount {
            source,
            target,
            read_only,
        });
    }
}

fn volume(
    field: &Field<'_>,
    source: &str,
    target: &str,
    read_only: bool,
    declared: &[VolumeName],
    out: &mut Mounts,
) {
    let Some(name) = declared.iter().find(|name| name.as_str() == source) else {
        field.error(format_args!("the volume {source} is not under volumes:"));
        return;
    };
    if let Some(target) = field.to_absolute(target.to_string()) {
        out.volumes.push(VolumeMount {
            volume: name.clone(),
            target,
            read_only,
        });
    }
}

/// `PATH[:size=64m]`
fn tmpfs(field: &Field<'_>) -> Option<Tmpfs> {
    let text = field.string()?;
    let (target, options) = text.split_once(':').unwrap_or((&text, ""));
    let mut bytes_max = None;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", size)) if units::bytes(size).is_some() => bytes_max = units::bytes(size),
            _ => field.error(format_args!(
                "the option {option} is not supported: only size, such as size=64m"
            )),
        }
    }
    Some(Tmpfs {
        target: field.to_absolute(target.to_string())?,
        bytes_max,
    })
}

/// `devices` of a service.
pub(crate) fn devices(field: &Field<'_>) -> Vec<Device> {
    field
        .list()
        .iter()
        .filter_map(|item| {
            if item.is_map() {
                let mut map = item.map();
                let source = map.require("source").and_then(|source| source.absolute());
                let target = map.take("target").and_then(|target| target.absolute());
                let permissions = map
                    .take("permissions")
                    .and_then(|field| permissions(&field, &field.string()?));
                map.finish(Place::Other);
                let source = source?;
                return Some(Device {
                    target: target.unwrap_or_else(|| source.clone()),
                    permissions: permissions.or_else(|| Text::new("rwm"))?,
                    source,
                });
            }
            let text = item.string()?;
            let mut parts = text.splitn(3, ':');
            let source = parts.next().unwrap_or_default();
            let target = parts.next().unwrap_or(source);
            Some(Device {
                source: item.to_absolute(source.to_string())?,
                target: item.to_absolute(target.to_string())?,
                permissions: permissions(item, parts.next().unwrap_or("rwm"))?,
            })
        })
        .collect()
}

fn permissions(field: &Field<'_>, text: &str) -> Option<Text> {
    let canonical: String = "rwm".chars().filter(|c| text.contains(*c)).collect();
    if canonical.is_empty() || canonical.len() != text.len() {
        field.error(format_args!("expected letters of rwm, not {text:?}"));
        return None;
    }
    field.to_text(canonical)
}
