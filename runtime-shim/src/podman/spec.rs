//! A service as podman's create call wants it: libpod's `SpecGenerator`, only the fields we set.
//!
//! Pure. Restarting and health are the agent's, so podman is told to do neither.

use std::collections::BTreeMap;

use bundle::manifest::{NetworkMode, Protocol, Service};
use serde::Serialize;

use super::signal;
use crate::{ContainerSpec, RuntimeError};

/// Where a service with `api` finds the agent's application socket.
const API_SOCKET: &str = "/run/coracle/app.sock";
/// The period in which CPU quotas are counted, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// The least quota that kernels take, in microseconds.
const CPU_QUOTA_US_MIN: i64 = 1_000;

#[derive(Serialize)]
pub(super) struct SpecGenerator<'a> {
    name: &'a str,
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Vec<&'a str>>,
    env: BTreeMap<&'a str, &'a str>,
    /// Takes no proxies over from podman's own environment: what runs is what was signed.
    httpproxy: bool,
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_dir: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    netns: Namespace,
    #[serde(rename = "Networks", skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, Attachment<'a>>,
    portmappings: Vec<PortMapping<'a>>,
    hostadd: Vec<String>,
    volumes: Vec<NamedVolume<'a>>,
    mounts: Vec<Mount<'a>>,
    /// A `VOLUME` of the image gets no anonymous volume: nobody would ever remove it.
    image_volume_mode: &'static str,
    devices: Vec<Device>,
    privileged: bool,
    cap_add: Vec<&'a str>,
    cap_drop: Vec<&'a str>,
    no_new_privileges: bool,
    read_only_filesystem: bool,
    init: bool,
    resource_limits: Resources,
    r_limits: Vec<Rlimit<'a>>,
    sysctl: BTreeMap<&'a str, &'a str>,
    restart_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<i32>,
    stop_timeout: u32,
    log_configuration: LogConfiguration,
    #[serde(rename = "sdnotifyMode")]
    sdnotify_mode: &'static str,
    systemd: &'static str,
    healthconfig: HealthConfig,
}

#[derive(Serialize)]
struct Namespace {
    nsmode: &'static str,
}

#[derive(Serialize)]
struct Attachment<'a> {
    aliases: Vec<&'a str>,
}

#[derive(Serialize)]
struct PortMapping<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host_ip: Option<&'a str>,
    host_port: u16,
    container_port: u16,
    protocol: &'static str,
}

#[derive(Serialize)]
struct NamedVolume<'a> {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Dest")]
    dest: &'a str,
    #[serde(rename = "Options")]
    options: [&'static str; 1],
}

#[derive(Serialize)]
struct Mount<'a> {
    destination: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    source: &'a str,
    options: Vec<String>,
}

/// libpod reads the three parts of `source:target:permissions` from `path`.
#[derive(Serialize)]
struct Device {
    path: String,
}

#[derive(Default, Serialize)]
struct Resources {
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<Limit>,
}

#[derive(Serialize)]
struct Limit {
    limit: i64,
}

#[derive(Serialize)]
struct Cpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
}

#[derive(Serialize)]
struct Rlimit<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    soft: u64,
    hard: u64,
}

/// podman keeps one file per container and begins it anew at `size`, so the bound of the whole
/// log goes there.
#[derive(Serialize)]
struct LogConfiguration {
    driver: &'static str,
    size: i64,
}

#[derive(Serialize)]
struct HealthConfig {
    #[serde(rename = "Test")]
    test: [&'static str; 1],
}

/// Translates a container.
///
/// # Errors
/// [`RuntimeError::Refused`] for what no runtime could do: an unknown signal, files without
/// their sources.
pub(super) fn generate(spec: &ContainerSpec) -> Result<SpecGenerator<'_>, RuntimeError> {
    let service = &spec.service;
    let own_network = !matches!(service.network, NetworkMode::Host);
    let own_name = own_network.then_some(service.name.as_str());
    Ok(SpecGenerator {
        name: &spec.name,
        image: spec.image.hex(),
        entrypoint: service.entrypoint.as_deref().map(texts),
        command: service.command.as_deref().map(texts),
        env: pairs(&service.environment),
        httpproxy: false,
        labels: &spec.labels,
        user: service.user.as_deref(),
        work_dir: service.working_dir.as_deref(),
        hostname: service.hostname.as_deref().or(own_name),
        netns: Namespace {
            nsmode: match service.network {
                NetworkMode::Host => "host",
                NetworkMode::None => "none",
                _ => "bridge",
            },
        },
        networks: networks(spec),
        portmappings: ports(service),
        hostadd: service
            .extra_hosts
            .iter()
            .map(|(name, address)| format!("{name}:{address}"))
            .collect(),
        volumes: volumes(spec),
        mounts: mounts(spec)?,
        image_volume_mode: "ignore",
        devices: service
            .devices
            .iter()
            .map(|d| Device {
                path: format!("{}:{}:{}", d.source, d.target, d.permissions),
            })
            .collect(),
        privileged: service.privileged,
        cap_add: texts(&service.cap_add),
        cap_drop: texts(&service.cap_drop),
        no_new_privileges: service.no_new_privileges,
        read_only_filesystem: service.read_only,
        init: service.init,
        resource_limits: resources(service),
        r_limits: service
            .ulimits
            .iter()
            .map(|u| Rlimit {
                kind: &u.name,
                soft: u.soft,
                hard: u.hard,
            })
            .collect(),
        sysctl: pairs(&service.sysctls),
        restart_policy: "no",
        stop_signal: match &service.stop_signal {
            Some(name) => Some(signal::number(name).ok_or_else(|| refused("unknown stop signal"))?),
            None => None,
        },
        stop_timeout: service.stop_grace_s,
        log_configuration: LogConfiguration {
            driver: "k8s-file",
            size: signed(
                service
                    .logging
                    .bytes_max
                    .saturating_mul(u64::from(service.logging.files_max.max(1))),
            ),
        },
        sdnotify_mode: "ignore",
        systemd: "false",
        healthconfig: HealthConfig { test: ["NONE"] },
    })
}

fn networks(spec: &ContainerSpec) -> BTreeMap<String, Attachment<'_>> {
    let NetworkMode::Bridge(attachments) = &spec.service.network else {
        return BTreeMap::new();
    };
    let named = attachments.iter().map(|attachment| {
        let mut aliases = vec![spec.service.name.as_str()];
        aliases.extend(texts(&attachment.aliases));
        let name = ContainerSpec::network_name(&spec.app, &attachment.network);
        (name, Attachment { aliases })
    });
    named.collect()
}

fn ports(service: &Service) -> Vec<PortMapping<'_>> {
    let mapped = service.ports.iter().map(|port| PortMapping {
        host_ip: port.host_ip.as_deref(),
        host_port: port.host,
        container_port: port.container,
        protocol: match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        },
    });
    mapped.collect()
}

fn volumes(spec: &ContainerSpec) -> Vec<NamedVolume<'_>> {
    let named = spec.service.volumes.iter().map(|v| NamedVolume {
        name: ContainerSpec::volume_name(&spec.app, &v.volume),
        dest: &v.target,
        options: [access(v.read_only)],
    });
    named.collect()
}

fn mounts(spec: &ContainerSpec) -> Result<Vec<Mount<'_>>, RuntimeError> {
    let service = &spec.service;
    if spec.file_sources.len() != service.files.len() {
        return Err(refused("not as many file sources as files"));
    }
    let mut mounts = Vec::new();
    for bind in &service.binds {
        let options = ["rbind", "rprivate", access(bind.read_only)];
        mounts.push(mount(&bind.source, &bind.target, "bind", &options));
    }
    for tmpfs in &service.tmpfs {
        let mut mount = mount("tmpfs", &tmpfs.target, "tmpfs", &["nosuid", "nodev"]);
        if let Some(bytes) = tmpfs.bytes_max {
            mount.options.push(format!("size={bytes}"));
        }
        mounts.push(mount);
    }
    for (file, source) in service.files.iter().zip(&spec.file_sources) {
        let source = source
            .to_str()
            .ok_or_else(|| refused("a path that is not UTF-8"))?;
        let options = ["bind", "rprivate", "ro", "nosuid", "nodev"];
        mounts.push(mount(source, &file.target, "bind", &options));
    }
    if let Some(socket) = &spec.api_socket {
        let source = socket
            .to_str()
            .ok_or_else(|| refused("a path that is not UTF-8"))?;
        mounts.push(mount(
            source,
            API_SOCKET,
            "bind",
            &["bind", "rprivate", "rw"],
        ));
    }
    Ok(mounts)
}

fn mount<'a>(
    source: &'a str,
    destination: &'a str,
    kind: &'static str,
    options: &[&str],
) -> Mount<'a> {
    Mount {
        destination,
        kind,
        source,
        options: options.iter().map(|&option| option.to_owned()).collect(),
    }
}

fn access(read_only: bool) -> &'static str {
    if read_only { "ro" } else { "rw" }
}

fn resources(service: &Service) -> Resources {
    let limits = &service.limits;
    let quota = limits.cpu_milli.map(|milli| {
        let quota = u64::from(milli) * (CPU_PERIOD_US / 1000);
        signed(quota).max(CPU_QUOTA_US_MIN)
    });
    Resources {
        memory: limits.memory_bytes.map(|bytes| Limit {
            limit: signed(bytes),
        }),
        cpu: (quota.is_some() || limits.cpu_shares.is_some()).then_some(Cpu {
            shares: limits.cpu_shares,
            quota,
            period: quota.map(|_| CPU_PERIOD_US),
        }),
        pids: limits.pids.map(|pids| Limit {
            limit: i64::from(pids),
        }),
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn texts(list: &[bundle::manifest::Text]) -> Vec<&str> {
    list.iter().map(|text| text.as_str()).collect()
}

fn pairs(list: &[(bundle::manifest::Text, bundle::manifest::Text)]) -> BTreeMap<&str, &str> {
    list.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

fn refused(message: &str) -> RuntimeError {
    RuntimeError::Refused {
        status: 400,
        message: message.to_owned(),
    }
}
