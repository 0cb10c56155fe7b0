//! `bench relay`: the relay under load, beside itself doing nothing and beside nginx.
//!
//! What the ratios need is measured in one run, in turns, so that a machine that slows down slows
//! all of it. Never listens or loads anything beyond loopback.

mod client;
mod figures;
mod servers;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::client::{Client, Target};
use self::figures::{Figures, Pair, Waiting};
use self::servers::{Nginx, Relay};
use super::Options;
use super::proc::field;
use crate::cross::program::RELAY;
use crate::cross::{self, target};
use crate::{Usage, host};

/// How often each load is measured, in turns with the others.
const ROUNDS: usize = 3;
const SECONDS: u64 = 5;
/// Longest round: a challenge holds for ten minutes, and the load has to end some time.
const SECONDS_MAX: u64 = 60;
const DEVICES: usize = 2_000;
/// Connections that are busy at once. Devices are many and mostly silent: a server of two cores
/// that has more requests than this at a time is late anyway.
const CONNECTIONS: usize = 64;
/// Descriptors that a process needs besides one for each device.
const DESCRIPTORS_SPARE: u64 = 256;
/// How long a server that has just started, or was just left, takes to come to rest.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures, and prints.
///
/// # Errors
/// When something does not build or start, or a server refuses a request.
pub(super) fn run(options: &Options) -> Result<()> {
    let seconds = options.seconds.unwrap_or(SECONDS);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        return Err(Usage(format!("--seconds: 1 to {SECONDS_MAX}")).into());
    }
    host::ensure_packages()?;
    host::ensure_nginx()?;
    let program = match &options.relay {
        Some(path) => path.clone(),
        None => ship()?,
    };
    let client = Client::build()?;
    let devices = bounded(options.devices.unwrap_or(DEVICES))?;
    let figures = measure(&program, &client, devices.max(CONNECTIONS), seconds)?;
    if options.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        print!("{figures}");
    }
    Ok(())
}

/// The relay as it ships for this machine, freshly built.
fn ship() -> Result<PathBuf> {
    let native = target::find(std::env::consts::ARCH).map_err(|e| anyhow::anyhow!(e))?;
    cross::build_and_check(&[(&RELAY, native)])?;
    Ok(RELAY.dist(native))
}

/// Raises the limit of open files, which the servers and the client inherit, and lowers the number
/// of devices to what it allows.
fn bounded(devices: usize) -> Result<usize> {
    let wanted = u64::try_from(devices)? + DESCRIPTORS_SPARE;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if wanted > hard && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
        eprintln!("bench: raised the limit of open files from {hard} to {wanted}");
        return Ok(devices);
    }
    let allowed = wanted.min(hard);
    if allowed > soft {
        setrlimit(Resource::RLIMIT_NOFILE, allowed, hard).context("the limit of open files")?;
        eprintln!("bench: raised the limit of open files from {soft} to {allowed}");
    }
    let devices_max = usize::try_from(allowed.max(soft).saturating_sub(DESCRIPTORS_SPARE))?;
    if devices > devices_max {
        eprintln!("bench: {devices_max} devices: the limit of open files is {hard} (ulimit -Hn)");
    }
    Ok(devices.min(devices_max))
}

fn measure(program: &PathBuf, client: &Client, devices: usize, seconds: u64) -> Result<Figures> {
    let folder = tempfile::Builder::new()
        .prefix("coracle-bench-")
        .tempdir()?;
    let folder = folder.path();
    client.certificate(folder)?;
    let load = Load {
        client,
        devices,
        seconds,
    };

    let mut relay = Relay::start(program, folder, devices)?;
    thread::sleep(SETTLE);
    let relay_idle_rss_bytes = field(relay.process_id(), "status", "VmRSS:")? * 1024;
    eprintln!("bench: {devices} devices enrol");
    client.enroll(&relay.target(), &relay.token_file(), devices)?;
    // A fresh process: memory that the enrolments needed is not for the waiting devices to fill.
    relay.restart(program)?;
    thread::sleep(SETTLE);
    eprintln!("bench: {devices} devices wait");
    let waiting = load.waiting(&relay.target())?;

    let nginx = Nginx::start(folder)?;
    let (relay_target, nginx_target) = (relay.target(), nginx.target()?);
    let (mut check_in, mut relay_get, mut nginx_get) = <(Vec<_>, Vec<_>, Vec<_>)>::default();
    let (mut relay_handshake, mut nginx_handshake) = <(Vec<_>, Vec<_>)>::default();
    for round in 1..=ROUNDS {
        eprintln!("bench: round {round} of {ROUNDS}");
        check_in.push(load.run(&["check-in"], &relay_target)?);
        relay_get.push(load.run(&["get", "/healthz"], &relay_target)?);
        nginx_get.push(load.run(&["get", "/healthz"], &nginx_target)?);
        relay_handshake.push(load.run(&["handshake"], &relay_target)?);
        nginx_handshake.push(load.run(&["handshake"], &nginx_target)?);
    }
    let verify = load.run(&["verify"], &relay_target)?;
    Ok(Figures {
        seconds,
        rounds: ROUNDS,
        connections: CONNECTIONS,
        devices,
        nginx: nginx.version()?,
        check_in_to_relay_get: Pair::ratio(&check_in, &relay_get),
        check_in_to_nginx_get: Pair::ratio(&check_in, &nginx_get),
        relay_get_to_nginx_get: Pair::ratio(&relay_get, &nginx_get),
        relay_handshake_to_nginx: Pair::ratio(&relay_handshake, &nginx_handshake),
        check_in: figures::total(&check_in),
        relay_get: figures::total(&relay_get),
        nginx_get: figures::total(&nginx_get),
        relay_handshake: figures::total(&relay_handshake),
        nginx_handshake: figures::total(&nginx_handshake),
        ed25519_verify: figures::total(&[verify]),
        waiting,
        relay_binary_bytes: fs::metadata(program)?.len(),
        relay_idle_rss_bytes,
    })
}

/// How much load there is.
struct Load<'a> {
    client: &'a Client,
    devices: usize,
    seconds: u64,
}

impl Load<'_> {
    fn run(&self, words: &[&str], target: &Target) -> Result<client::Measured> {
        let (devices, seconds) = (self.devices.to_string(), self.seconds.to_string());
        let connections = CONNECTIONS.to_string();
        let options = [
            "--devices",
            &devices,
            "--connections",
            &connections,
            "--seconds",
            &seconds,
        ];
        self.client.ask(&[words, &options].concat(), target)
    }

    fn waiting(&self, target: &Target) -> Result<Waiting> {
        let (devices, seconds) = (self.devices.to_string(), self.seconds.to_string());
        let words = ["wait", "--devices", &devices, "--seconds", &seconds];
        let waited = self.client.ask(&words, target)?;
        Ok(Waiting::new(&waited))
    }
}
