//! `bench idle`: what the agent takes while nothing happens.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::proc::{field, number};
use crate::cross::program::AGENT;
use crate::cross::{self, target};
use crate::demo::cast::{APP, Cast};
use crate::host;

/// How long the agent may take to come to rest after an update.
const SETTLE: Duration = Duration::from_secs(15);

#[derive(serde::Serialize)]
struct Idle {
    seconds: u64,
    agent_pss_bytes: u64,
    agent_rss_bytes: u64,
    agent_peak_rss_bytes: u64,
    agent_written_bytes: u64,
    agent_wakeups: u64,
    podman_service_pss_bytes: u64,
}

/// Measures, and prints.
///
/// # Errors
/// Without root, or when a part of the demo does not come up.
pub(super) fn run(seconds: u64, json: bool) -> Result<()> {
    if !host::is_root()? {
        bail!("containers need root here: run this as root");
    }
    host::ensure_packages()?;
    let idle = idle(seconds)?;
    if json {
        println!("{}", serde_json::to_string(&idle)?);
    } else {
        let kib = |bytes: u64| bytes / 1024;
        println!(
            "agent, idle, 3 containers, podman, a check-in a minute (watched for {} s)",
            idle.seconds
        );
        println!(
            "  PSS                    {:>6} KiB",
            kib(idle.agent_pss_bytes)
        );
        println!(
            "  RSS                    {:>6} KiB",
            kib(idle.agent_rss_bytes)
        );
        println!(
            "  peak RSS, update in    {:>6} KiB",
            kib(idle.agent_peak_rss_bytes)
        );
        println!(
            "  written to disk        {:>6} bytes",
            idle.agent_written_bytes
        );
        println!("  woken                  {:>6} times", idle.agent_wakeups);
        println!(
            "podman's own service, PSS {:>5} KiB",
            kib(idle.podman_service_pss_bytes)
        );
    }
    Ok(())
}

fn idle(seconds: u64) -> Result<Idle> {
    let native = target::find(std::env::consts::ARCH).map_err(|e| anyhow::anyhow!(e))?;
    cross::build_and_check(&[(&AGENT, native)])?;
    let cast = Cast::assemble(Some(AGENT.dist(native)), &[])?;
    cast.agent.enroll(&cast.server, &[])?.ok()?;
    eprintln!("bench: version 1 goes in, over HTTPS");
    cast.server.publish(&cast.pack(1)?)?;
    cast.server.roll_out(&format!("{APP}@1.0"), "all")?;
    cast.reading(1)?;
    let agent = cast.daemon.process_id();
    let podman = cast.podman.process_id().context("podman is gone")?;
    eprintln!("bench: watching for {seconds} s");
    thread::sleep(SETTLE);
    let (written, woken) = (written(agent)?, wakeups(agent)?);
    thread::sleep(Duration::from_secs(seconds));
    Ok(Idle {
        seconds,
        agent_pss_bytes: field(agent, "smaps_rollup", "Pss:")? * 1024,
        agent_rss_bytes: field(agent, "smaps_rollup", "Rss:")? * 1024,
        agent_peak_rss_bytes: field(agent, "status", "VmHWM:")? * 1024,
        agent_written_bytes: self::written(agent)? - written,
        agent_wakeups: wakeups(agent)? - woken,
        podman_service_pss_bytes: field(podman, "smaps_rollup", "Pss:")? * 1024,
    })
}

/// Bytes that a process caused to be written to storage (proc(5), `/proc/PID/io`).
fn written(pid: u32) -> Result<u64> {
    field(pid, "io", "write_bytes:")
}

/// How often any thread of a process gave the CPU up and got it back.
fn wakeups(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        sum += number(&status, "voluntary_ctxt_switches:")?;
    }
    Ok(sum)
}
