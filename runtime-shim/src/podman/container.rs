//! Containers: create, start, stop, remove, look, wait.
//!
//! Restarts nothing; podman is told not to either.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bundle::{AppName, Digest, Utc};
use serde::Deserialize;

use super::api::{Api, CHANGE, Call, FOREVER, LOOK, decode, refused};
use super::{pidfd, spec};
use crate::{
    Container, ContainerId, ContainerSpec, ContainerState, ExitStatus, RuntimeError, Stats, labels,
};

/// 128 + SIGKILL: the exit code that the kernel's out-of-memory killer leaves, among others.
const KILLED: i32 = 137;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "ImageID", default)]
    image_id: String,
    state: String,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    started_at: i64,
    #[serde(default)]
    exit_code: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    name: String,
    image: String,
    state: State,
    config: Config,
    #[serde(default)]
    network_settings: Option<NetworkSettings>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    pid: u32,
    exit_code: i32,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    started_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default)]
    networks: Option<BTreeMap<String, Network>>,
}

#[derive(Deserialize)]
struct Network {
    #[serde(rename = "IPAddress", default)]
    ipv4: String,
    #[serde(rename = "GlobalIPv6Address", default)]
    ipv6: String,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "Id")]
    id: String,
}

/// One of the results of a removal, which may fail although the call succeeds.
#[derive(Deserialize)]
struct Removed {
    #[serde(rename = "Err", default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct StatsAnswer {
    #[serde(rename = "Stats", default)]
    stats: Option<Vec<StatsEntry>>,
}

#[derive(Deserialize)]
struct StatsEntry {
    #[serde(rename = "MemUsage")]
    memory: u64,
    #[serde(rename = "CPUNano")]
    cpu_ns: u64,
    #[serde(rename = "PIDs")]
    pids: u32,
}

pub(super) async fn create(api: &Api, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
    if let Some(there) = inspect(api, &spec.name).await? {
        return same_or_conflict(there, spec);
    }
    let call = Call::post("containers/create").json(&spec::generate(spec)?)?;
    match api.ask::<Created>(call).await {
        Ok(created) => Ok(ContainerId(created.id)),
        // Somebody was quicker; or podman counts the name as taken for another reason.
        Err(RuntimeError::Conflict(words)) => match inspect(api, &spec.name).await? {
            Some(there) => same_or_conflict(there, spec),
            None => Err(RuntimeError::Conflict(words)),
        },
        Err(error) => Err(error),
    }
}

fn same_or_conflict(there: Container, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
    let same = |key| there.label(key) == spec.labels.get(key).map(String::as_str);
    if there.name == spec.name && same(labels::SPEC) && same(labels::GENERATION) {
        Ok(there.id)
    } else {
        Err(RuntimeError::Conflict(there.name))
    }
}

pub(super) async fn start(api: &Api, id: &ContainerId) -> Result<(), RuntimeError> {
    let path = format!("containers/{}/start", id.0);
    api.call(Call::post(&path)).await.map(drop)
}

pub(super) async fn stop(api: &Api, id: &ContainerId, grace_s: u32) -> Result<(), RuntimeError> {
    let call = Call::post(&format!("containers/{}/stop", id.0))
        .query("timeout", &grace_s.to_string())
        .within(CHANGE + Duration::from_secs(u64::from(grace_s)));
    match api.call(call).await {
        Ok(_) | Err(RuntimeError::NotFound) => Ok(()),
        // podman refuses to stop what never ran, and stops may cross.
        Err(error) => match inspect(api, &id.0).await?.map(|c| c.state) {
            Some(ContainerState::Running { .. } | ContainerState::Other) => Err(error),
            _ => Ok(()),
        },
    }
}

pub(super) async fn remove(api: &Api, id: &ContainerId) -> Result<(), RuntimeError> {
    let call = Call::delete(&format!("containers/{}", id.0))
        .query("force", "true")
        .query("timeout", "0")
        .query("v", "false");
    let body = match api.call(call).await {
        Ok((_, body)) => body,
        Err(RuntimeError::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    if body.is_empty() {
        return Ok(());
    }
    let results: Vec<Removed> = decode(&body)?;
    match results.into_iter().find_map(|result| result.error) {
        Some(words) if !words.is_empty() => Err(refused(500, &words)),
        _ => Ok(()),
    }
}

/// What podman calls the state, as ours.
fn state(name: &str, pid: u32, status: ExitStatus) -> ContainerState {
    match name {
        "running" | "stopping" if pid > 0 => ContainerState::Running { pid },
        "created" | "configured" | "initialized" => ContainerState::Created,
        "exited" | "stopped" => ContainerState::Exited(status),
        _ => ContainerState::Other,
    }
}

pub(super) async fn inspect(
    api: &Api,
    id_or_name: &str,
) -> Result<Option<Container>, RuntimeError> {
    let call = Call::get(&format!("containers/{id_or_name}/json"));
    let Some(found) = api.find::<Inspected>(call).await? else {
        return Ok(None);
    };
    // podman also finds by the beginning of an id.
    if found.id != id_or_name && found.name != id_or_name {
        return Ok(None);
    }
    let networks = found.network_settings.and_then(|s| s.networks);
    let networks = networks.unwrap_or_default().into_values();
    let addresses: Vec<IpAddr> = networks
        .flat_map(|network| [network.ipv4, network.ipv6])
        .filter_map(|address| address.parse().ok())
        .collect();
    let status = ExitStatus {
        code: found.state.exit_code,
        oom_killed: found.state.oom_killed,
    };
    Ok(Some(Container {
        id: ContainerId(found.id),
        name: found.name,
        labels: found.config.labels.unwrap_or_default(),
        image: found.image.parse::<Digest>().ok(),
        state: state(&found.state.status, found.state.pid, status),
        started_at: found
            .state
            .started_at
            .parse()
            .ok()
            .map(|Utc(seconds)| seconds),
        addresses,
    }))
}

pub(super) async fn list(api: &Api, app: Option<&AppName>) -> Result<Vec<Container>, RuntimeError> {
    let call = Call::get("containers/json").query("all", "true");
    let call = call.filter("label", &super::app_label(app))?;
    let listed: Vec<Listed> = api.ask(call).await?;
    let mut out = Vec::with_capacity(listed.len());
    for listed in listed {
        let status = ExitStatus {
            code: listed.exit_code,
            oom_killed: false,
        };
        let state = state(&listed.state, listed.pid, status);
        let container = Container {
            id: ContainerId(listed.id),
            name: listed.names.into_iter().next().unwrap_or_default(),
            labels: listed.labels.unwrap_or_default(),
            image: listed.image_id.parse::<Digest>().ok(),
            state,
            started_at: u64::try_from(listed.started_at).ok().filter(|at| *at > 0),
            addresses: Vec::new(),
        };
        out.extend(with_oom_flag(api, container).await?);
    }
    Ok(out)
}

/// Lists do not tell who killed a container, so those few are looked at; none if it is gone.
async fn with_oom_flag(api: &Api, container: Container) -> Result<Option<Container>, RuntimeError> {
    match container.state {
        ContainerState::Exited(ExitStatus { code: KILLED, .. }) => {
            let found = inspect(api, &container.id.0).await?;
            Ok(found.map(|found| Container {
                addresses: Vec::new(),
                ..found
            }))
        }
        _ => Ok(Some(container)),
    }
}

pub(super) async fn wait(api: &Api, id: &ContainerId) -> Result<ExitStatus, RuntimeError> {
    loop {
        match look(api, id).await? {
            ContainerState::Exited(status) => return Ok(status),
            ContainerState::Running { pid } => {
                if let Some(process) = pidfd::open(pid) {
                    // Opened by number: only if the container still has it, it is that process.
                    if look(api, id).await? != (ContainerState::Running { pid }) {
                        continue;
                    }
                    process.ended().await.map_err(RuntimeError::Io)?;
                }
            }
            ContainerState::Created => {
                return Err(RuntimeError::Conflict(format!("{} never ran", id.0)));
            }
            ContainerState::Other => {}
        }
        // The process is gone, but podman may not know yet; or there is no pidfd.
        let call = Call::post(&format!("containers/{}/wait", id.0))
            .query("condition", "exited")
            .query("condition", "stopped");
        api.call(call.within(FOREVER)).await?;
    }
}

async fn look(api: &Api, id: &ContainerId) -> Result<ContainerState, RuntimeError> {
    let found = inspect(api, &id.0).await?;
    found.map(|c| c.state).ok_or(RuntimeError::NotFound)
}

pub(super) async fn stats(api: &Api, id: &ContainerId) -> Result<Stats, RuntimeError> {
    match look(api, id).await? {
        ContainerState::Running { .. } => {}
        _ => return Err(RuntimeError::Conflict(format!("{} does not run", id.0))),
    }
    let call = Call::get("containers/stats")
        .query("containers", &id.0)
        .query("stream", "false");
    let answer: StatsAnswer = api.ask(call.within(LOOK)).await?;
    let entry = answer.stats.and_then(|stats| stats.into_iter().next());
    let entry = entry.ok_or(RuntimeError::NotFound)?;
    Ok(Stats {
        memory_bytes: entry.memory,
        cpu_ns: entry.cpu_ns,
        pids: entry.pids,
    })
}
