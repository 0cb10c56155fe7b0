//! Resource limits: of the container (`mem_limit`, `cpus`, `deploy.resources.limits`) and of its
//! processes (`ulimits`).
//!
//! Never mixes the two spellings of one limit: if both are there they must agree.

use bundle::manifest::{Limits, Ulimit};

use super::field::Field;
use super::map::Map;
use super::refusals::Place;
use super::units;

/// Names of setrlimit(2), as Compose spells them.
const ULIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The limits of a service, from both spellings.
pub(crate) fn limits(service: &mut Map<'_>) -> Limits {
    let plain = Limits {
        memory_bytes: service.take("mem_limit").and_then(|field| memory(&field)),
        cpu_milli: service.take("cpus").and_then(|field| cpus(&field)),
        cpu_shares: service
            .take("cpu_shares")
            .and_then(|field| field.number(2..=262_144)),
        pids: service.take("pids_limit").and_then(|field| pids(&field)),
    };
    let Some(deploy) = service.take("deploy") else {
        return plain;
    };
    let mut limits = Limits::default();
    let mut map = deploy.map();
    if let Some(replicas) = map.take("replicas") {
        one(&replicas);
    }
    if let Some(resources) = map.take("resources") {
        let mut resources = resources.map();
        if let Some(field) = resources.take("limits") {
            let mut map = field.map();
            limits.memory_bytes = map.take("memory").and_then(|field| memory(&field));
            limits.cpu_milli = map.take("cpus").and_then(|field| cpus(&field));
            limits.pids = map.take("pids").and_then(|field| pids(&field));
            map.finish(Place::Deploy);
        }
        resources.finish(Place::Deploy);
    }
    map.finish(Place::Deploy);
    Limits {
        memory_bytes: agree(
            &deploy,
            "mem_limit",
            plain.memory_bytes,
            limits.memory_bytes,
        ),
        cpu_milli: agree(&deploy, "cpus", plain.cpu_milli, limits.cpu_milli),
        cpu_shares: plain.cpu_shares,
        pids: agree(&deploy, "pids_limit", plain.pids, limits.pids),
    }
}

/// A count of containers: one, on each device.
pub(crate) fn one(field: &Field<'_>) {
    if field.string().is_some_and(|count| count != "1") {
        field.error("not supported: a service is one container on each device");
    }
}

fn agree<T: PartialEq>(deploy: &Field<'_>, key: &str, a: Option<T>, b: Option<T>) -> Option<T> {
    if a.is_some() && b.is_some() && a != b {
        deploy.error(format_args!("resources.limits contradicts {key}"));
    }
    a.or(b)
}

fn memory(field: &Field<'_>) -> Option<u64> {
    match field.bytes()? {
        // Docker's own lower bound; a container below it does not start.
        bytes if bytes < 6 << 20 => {
            field.error("the least memory limit is 6m");
            None
        }
        bytes => Some(bytes),
    }
}

fn cpus(field: &Field<'_>) -> Option<u32> {
    let string = field.string()?;
    let milli = units::milli(&string)
        .and_then(|milli| u32::try_from(milli).ok())
        .filter(|milli| *milli >= 10);
    if milli.is_none() {
        field.error(format_args!(
            "expected a number of CPUs from 0.01, such as 0.5, not {string:?}"
        ));
    }
    milli
}

/// A count of processes; `-1` is no limit.
fn pids(field: &Field<'_>) -> Option<u32> {
    if field.string()? == "-1" {
        return None;
    }
    field.number(1..=4_194_304)
}

/// `ulimits` of a service, sorted by name.
pub(crate) fn ulimits(field: &Field<'_>) -> Vec<Ulimit> {
    let mut out: Vec<Ulimit> = field
        .members()
        .into_iter()
        .filter_map(|member| {
            let value = &member.value;
            if !ULIMITS.contains(&member.name) {
                value.error(format_args!(
                    "not a limit: expected one of {}",
                    ULIMITS.join(", ")
                ));
                return None;
            }
            let (soft, hard) = if value.is_map() {
                let mut map = value.map();
                let soft = map.require("soft").and_then(|soft| limit(&soft));
                let hard = map.require("hard").and_then(|hard| limit(&hard));
                map.finish(Place::Other);
                (soft?, hard?)
            } else {
                let both = limit(value)?;
                (both, both)
            };
            if soft > hard {
                value.error("the soft limit is above the hard one");
            }
            Some(Ulimit {
                name: value.to_text(member.name.to_string())?,
                soft,
                hard,
            })
        })
        .collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

/// A number, or `-1` for no limit (RLIM_INFINITY).
fn limit(field: &Field<'_>) -> Option<u64> {
    if field.string()? == "-1" {
        return Some(u64::MAX);
    }
    field.number(0..=u64::MAX)
}
