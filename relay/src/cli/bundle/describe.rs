//! A bundle in words, for people.

use std::fmt::Write as _;

use bundle::Manifest;
use bundle::manifest::{
    HealthCheck, NetworkMode, Probe, Protocol, Restart, Service, SwitchMode, Text, Variable,
    VariableKind,
};

use super::inspect::ShownImage;
use crate::cli::{render, time};
use crate::unverified::Unverified;

/// What the bundle as a whole says.
pub(super) fn overview(claimed: &Unverified, bytes: u64) {
    let manifest = &claimed.manifest;
    let target = &manifest.target;
    let mut rows = vec![
        (
            "app",
            format!(
                "{} {} (seq {}, epoch {})",
                manifest.app, manifest.version, manifest.seq, manifest.epoch
            ),
        ),
        ("digest", claimed.digest.to_string()),
        (
            "signatures",
            if claimed.keys.is_empty() {
                "none: a draft, which every device refuses".to_string()
            } else {
                format!(
                    "{} (not checked here: use `relay bundle verify`)",
                    join(&claimed.keys)
                )
            },
        ),
        ("issued", time::show(manifest.issued_at)),
    ];
    if let Some(end) = manifest.not_after {
        rows.push(("not after", time::show(end)));
    }
    rows.push(("for", {
        let mut text = format!("{}, fleet {}", target.arch, target.fleet);
        if !target.classes.is_empty() {
            let _ = write!(text, ", classes {}", join(&target.classes));
        }
        if !target.devices.is_empty() {
            let _ = write!(text, ", devices {}", join(&target.devices));
        }
        text
    }));
    let plain: u64 = manifest.blobs.iter().map(|blob| blob.plain_bytes).sum();
    rows.push((
        "size",
        format!(
            "{} in {} ({} unpacked)",
            render::bytes(bytes),
            render::count(manifest.blobs.len(), "blob"),
            render::bytes(plain)
        ),
    ));
    let policy = &manifest.policy;
    let switch = match policy.switch {
        SwitchMode::StartFirst => "start-first",
        _ => "stop-first",
    };
    rows.push((
        "policy",
        format!(
            "trial {} s, healthy within {} s, {}, {switch}",
            policy.trial_s,
            policy.healthy_within_s,
            render::count(usize::from(policy.restarts_max), "restart")
        ),
    ));
    if !policy.restore_on_rollback.is_empty() {
        rows.push(("restored", join(&policy.restore_on_rollback)));
    }
    for variable in &manifest.variables {
        rows.push(("variable", variable_text(variable)));
    }
    for file in &manifest.files {
        let bytes = manifest
            .blob(file.content)
            .map_or(0, |blob| blob.plain_bytes);
        let template = if file.template { ", template" } else { "" };
        rows.push((
            "file",
            format!("{} ({}{template})", file.name, render::bytes(bytes)),
        ));
    }
    render::table(&rows);
}

fn variable_text(variable: &Variable) -> String {
    let kind = match &variable.kind {
        VariableKind::Text { pattern: None } => "text".to_string(),
        VariableKind::Text {
            pattern: Some(pattern),
        } => format!("text matching {pattern}"),
        VariableKind::Integer { min, max } => format!("integer from {min} to {max}"),
        VariableKind::Boolean => "boolean".to_string(),
        VariableKind::Choice(choices) => format!("one of {}", join(choices)),
        _ => "of a later kind".to_string(),
    };
    let default = match &variable.default {
        Some(default) => format!("default {default:?}"),
        None => "required".to_string(),
    };
    let secret = if variable.secret { ", secret" } else { "" };
    format!("{} ({kind}, {default}{secret})", variable.name)
}

/// What a service is.
pub(super) fn service_rows(
    service: &Service,
    image: &ShownImage,
    manifest: &Manifest,
) -> Vec<(&'static str, String)> {
    let mut rows = vec![(
        "  image",
        format!(
            "{} ({}, {})",
            image.image_id,
            render::count(image.layers, "layer"),
            render::bytes(image.plain_bytes)
        ),
    )];
    let mut some = |name, text: String| {
        if !text.is_empty() {
            rows.push((name, text));
        }
    };
    some("  entrypoint", words(service.entrypoint.iter().flatten()));
    some("  command", words(service.command.iter().flatten()));
    some(
        "  network",
        match &service.network {
            NetworkMode::Host => "host".to_string(),
            NetworkMode::Bridge(networks) => {
                join(networks.iter().map(|attachment| &attachment.network))
            }
            _ => "none".to_string(),
        },
    );
    some(
        "  ports",
        join(service.ports.iter().map(|port| {
            let protocol = match port.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            };
            let ip = port
                .host_ip
                .as_ref()
                .map_or(String::new(), |ip| format!("{ip}:"));
            format!("{ip}{}→{}/{protocol}", port.host, port.container)
        })),
    );
    let read_only = |read_only| if read_only { " (ro)" } else { "" };
    let volumes = service.volumes.iter().map(|mount| {
        format!(
            "{}→{}{}",
            mount.volume,
            mount.target,
            read_only(mount.read_only)
        )
    });
    let binds = service.binds.iter().map(|mount| {
        format!(
            "{}→{}{}",
            mount.source,
            mount.target,
            read_only(mount.read_only)
        )
    });
    some("  mounts", join(volumes.chain(binds)));
    some(
        "  files",
        join(service.files.iter().map(|mount| {
            let name = manifest
                .file(mount.file)
                .map_or("?", |file| file.name.as_str());
            format!("{name}→{} ({:04o})", mount.target, mount.mode)
        })),
    );
    some(
        "  environment",
        join(service.environment.iter().map(|(name, _)| name)),
    );
    some(
        "  privileges",
        if service.privileged {
            "all of the host's root".to_string()
        } else {
            join(service.cap_add.iter().map(|name| format!("+{name}")))
        },
    );
    some(
        "  restart",
        match service.restart {
            Restart::Always => "always".to_string(),
            Restart::OnFailure { max: None } => "on-failure".to_string(),
            Restart::OnFailure { max: Some(max) } => format!("on-failure, at most {max} times"),
            _ => "no".to_string(),
        },
    );
    some(
        "  health",
        service.health.as_ref().map_or(String::new(), health_text),
    );
    rows
}

fn health_text(health: &HealthCheck) -> String {
    let probe = match &health.probe {
        Probe::Exec(command) => words(command),
        Probe::Http { port, path } => format!("GET :{port}{path}"),
        Probe::Tcp { port } => format!("TCP :{port}"),
        _ => "of a later kind".to_string(),
    };
    format!(
        "{probe} every {} ms, timeout {} ms, {} retries",
        health.interval_ms, health.timeout_ms, health.retries
    )
}

fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// A command as one would type it.
fn words<'a>(command: impl IntoIterator<Item = &'a Text>) -> String {
    shell_words::join(command.into_iter().map(Text::as_str))
}
