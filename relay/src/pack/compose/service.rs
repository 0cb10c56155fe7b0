//! One service of a Compose file → [`bundle::manifest::Service`].
//!
//! Only reads; what must fit between services is checked in `rules`.

use bundle::manifest::{
    Condition, Dependency, Diagnostic, ImageId, Logging, Restart, Service, Text,
};
use bundle::{NetworkName, ServiceName, VolumeName};

use super::field::Field;
use super::map::Map;
use super::process::{self, command};
use super::refusals::Place;
use super::{files, health, limits, mounts, network, pairs};

/// Compose's stop grace.
const STOP_GRACE_S: u32 = 10;
/// Bounds of a log whose service names none: flash is small.
const LOG_BYTES: u64 = 5 << 20;
const LOG_FILES: u32 = 3;

/// What services refer to.
pub(crate) struct Declared<'a> {
    pub(crate) volumes: &'a [VolumeName],
    pub(crate) networks: &'a [NetworkName],
    pub(crate) files: &'a mut files::Files,
}

/// A service and what its `image:` says.
pub(crate) struct Read<'a> {
    pub(crate) service: Service,
    pub(crate) image: Option<Field<'a>>,
    pub(crate) field: Field<'a>,
}

/// Reads a service; its image is numbered later.
pub(crate) fn read<'a>(
    name: ServiceName,
    field: &Field<'a>,
    declared: &mut Declared<'_>,
) -> Read<'a> {
    let mut keys = field.map();
    let map = &mut keys;
    let image = map.take("image");
    let mounted = mounts::mounts(map, declared.volumes);
    let (env_file, environment) = (map.take("env_file"), map.take("environment"));
    let coracle = map.take("x-coracle").map(|field| extension(&field));
    let coracle = coracle.unwrap_or_default();
    let health = match map.take("healthcheck") {
        Some(field) if coracle.health.is_some() => {
            field.error("healthcheck and x-coracle.health exclude each other");
            None
        }
        Some(field) => health::compose(&field),
        None => coracle.health,
    };
    if let Some(scale) = map.take("scale") {
        limits::one(&scale);
    }
    let service = Service {
        image: ImageId(0),
        entrypoint: map.take("entrypoint").map(|field| command(&field)),
        command: map.take("command").map(|field| command(&field)),
        environment: pairs::environment(env_file.as_ref(), environment.as_ref()),
        user: map.take("user").and_then(|field| field.text()),
        working_dir: map.take("working_dir").and_then(|field| field.absolute()),
        hostname: map
            .take("hostname")
            .and_then(|field| process::hostname(&field)),
        network: network::mode(map, declared.networks),
        ports: list(map, "ports", network::ports),
        volumes: mounted.volumes,
        binds: mounted.binds,
        tmpfs: mounted.tmpfs,
        files: list(map, "configs", |field| declared.files.mounts(field)),
        devices: list(map, "devices", mounts::devices),
        privileged: flag(map, "privileged"),
        cap_add: list(map, "cap_add", process::capabilities),
        cap_drop: list(map, "cap_drop", process::capabilities),
        no_new_privileges: map
            .take("security_opt")
            .is_some_and(|field| process::no_new_privileges(&field)),
        read_only: flag(map, "read_only"),
        init: flag(map, "init"),
        limits: limits::limits(map),
        ulimits: list(map, "ulimits", limits::ulimits),
        sysctls: list(map, "sysctls", |field| pairs::texts(field, &['='])),
        extra_hosts: list(map, "extra_hosts", network::extra_hosts),
        restart: map
            .take("restart")
            .and_then(|field| process::restart(&field))
            .unwrap_or(Restart::No),
        stop_signal: map
            .take("stop_signal")
            .and_then(|field| process::signal(&field)),
        stop_grace_s: map
            .take("stop_grace_period")
            .and_then(|field| field.duration_s(bundle::limits::STOP_GRACE_S_MAX))
            .unwrap_or(STOP_GRACE_S),
        depends_on: list(map, "depends_on", depends_on),
        health,
        logging: logging(map.take("logging")),
        labels: list(map, "labels", labels),
        diagnostics: coracle.diagnostics,
        api: coracle.api,
        name,
    };
    keys.finish(Place::Service);
    Read {
        service,
        image,
        field: field.clone(),
    }
}

fn flag(map: &mut Map<'_>, key: &'static str) -> bool {
    map.take(key)
        .and_then(|field| field.bool())
        .unwrap_or(false)
}

fn list<'a, T>(
    map: &mut Map<'a>,
    key: &'static str,
    read: impl FnOnce(&Field<'a>) -> Vec<T>,
) -> Vec<T> {
    map.take(key).map(|field| read(&field)).unwrap_or_default()
}

fn depends_on(field: &Field<'_>) -> Vec<Dependency> {
    if !field.is_map() {
        return field
            .list()
            .iter()
            .filter_map(|item| {
                Some(Dependency {
                    service: item.parse()?,
                    condition: Condition::Started,
                })
            })
            .collect();
    }
    field
        .members()
        .into_iter()
        .filter_map(|member| {
            let mut map = member.value.map();
            let condition = map.require("condition").and_then(|field| {
                match field.string()?.as_str() {
                    "service_started" => Some(Condition::Started),
                    "service_healthy" => Some(Condition::Healthy),
                    "service_completed_successfully" => Some(Condition::CompletedSuccessfully),
                    other => {
                        field.error(format_args!(
                            "expected service_started, service_healthy or service_completed_successfully, not {other:?}"
                        ));
                        None
                    }
                }
            });
            if let Some(required) = map.take("required")
                && required.bool() == Some(false)
            {
                required.error("not supported: every service of a bundle runs");
            }
            if let Some(restart) = map.take("restart")
                && restart.bool() == Some(true)
            {
                restart.error("not supported: services restart by themselves");
            }
            map.finish(Place::Other);
            Some(Dependency {
                service: member.name()?,
                condition: condition?,
            })
        })
        .collect()
}

fn logging(field: Option<Field<'_>>) -> Logging {
    let mut logging = Logging {
        bytes_max: LOG_BYTES,
        files_max: LOG_FILES,
    };
    let Some(field) = field else { return logging };
    let mut map = field.map();
    if let Some(driver) = map.take("driver")
        && let Some(name) = driver.string()
        && !["json-file", "k8s-file", "local"].contains(&name.as_str())
    {
        driver.error(format_args!(
            "not supported: {name}; logs are files on the device, so json-file, k8s-file or local"
        ));
    }
    if let Some(options) = map.take("options") {
        let mut options = options.map();
        if let Some(bytes) = options.take("max-size").and_then(|field| field.bytes()) {
            logging.bytes_max = bytes.max(64 << 10);
        }
        if let Some(files) = options
            .take("max-file")
            .and_then(|field| field.number(1..=100))
        {
            logging.files_max = files;
        }
        options.finish(Place::Other);
    }
    map.finish(Place::Other);
    logging
}

fn labels(field: &Field<'_>) -> Vec<(Text, Text)> {
    let labels = pairs::texts(field, &['=']);
    for (name, _) in &labels {
        if name.starts_with("coracle.") {
            field.error(format_args!("{name}: labels under coracle. are Coracle's"));
        }
    }
    labels
}

/// `x-coracle` of a service.
#[derive(Default)]
struct Extension {
    health: Option<bundle::manifest::HealthCheck>,
    diagnostics: Vec<Diagnostic>,
    api: bool,
}

fn extension(field: &Field<'_>) -> Extension {
    let mut map = field.map();
    let out = Extension {
        health: map.take("health").and_then(|field| health::coracle(&field)),
        diagnostics: map
            .take("diagnostics")
            .map(|field| field.members())
            .unwrap_or_default()
            .into_iter()
            .filter_map(|member| {
                let command = command(&member.value);
                if command.is_empty() {
                    member.value.error("expected a command");
                }
                Some(Diagnostic {
                    name: member.value.to_text(member.name.to_string())?,
                    command,
                })
            })
            .collect(),
        api: flag(&mut map, "api"),
    };
    map.finish(Place::Other);
    out
}
