//! `cargo xtask bench`: figures that the README quotes, measured on the real thing.
//!
//! Prints; never judges. A time depends on the machine, so none is a test's business.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cross::program::AGENT;
use crate::cross::{self, target};
use crate::demo::cast::Cast;
use crate::{Command, Usage, host};

pub(crate) const COMMAND: Command = Command {
    name: "bench",
    summary: "figures: what the agent takes while idle",
    help: "\
Usage: cargo xtask bench idle [--seconds N] [--json]

idle: the agent as it ships (static, for this machine) supervises the demo's three containers on a
podman of its own; after the update has settled, what it takes: PSS and RSS (smaps_rollup), the
peak RSS so far (with the update of version 1), bytes that it wrote and times that it woke within
N seconds (60), and beside it the PSS of podman's own service. Needs root.

Options:
  --seconds N   how long to watch
  --json        prints one JSON object and nothing else on stdout
",
    run,
};

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

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut seconds, mut json, mut name) = (60, false, None);
    while let Some(arg) = args.next().map_err(Usage::from)? {
        match arg {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Long("seconds") => {
                let value = args.value().map_err(Usage::from)?;
                let parsed = value.to_string_lossy().parse();
                seconds = parsed.map_err(|_| Usage("--seconds takes a number".to_owned()))?;
            }
            lexopt::Arg::Value(value) if name.is_none() => name = Some(value),
            other => return Err(Usage::from(other.unexpected()).into()),
        }
    }
    if name.as_deref() != Some("idle".as_ref()) {
        return Err(Usage("which one? There is: idle".to_owned()).into());
    }
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
            "agent, idle, 3 containers, podman (watched for {} s)",
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
    let cast = Cast::assemble(Some(AGENT.dist(native)), None)?;
    eprintln!("bench: version 1 goes in");
    cast.agent.apply(&cast.pack(1)?)?.ok()?;
    cast.reading(1)?;
    let agent = cast.daemon.process_id();
    let podman = cast.podman.process_id().context("podman is gone")?;
    eprintln!("bench: watching for {seconds} s");
    thread::sleep(SETTLE);
    let (written, woken) = (written(agent)?, wakeups(agent)?);
    thread::sleep(Duration::from_secs(seconds));
    Ok(Idle {
        seconds,
        agent_pss_bytes: field_kib(agent, "smaps_rollup", "Pss:")? * 1024,
        agent_rss_bytes: field_kib(agent, "smaps_rollup", "Rss:")? * 1024,
        agent_peak_rss_bytes: field_kib(agent, "status", "VmHWM:")? * 1024,
        agent_written_bytes: self::written(agent)? - written,
        agent_wakeups: wakeups(agent)? - woken,
        podman_service_pss_bytes: field_kib(podman, "smaps_rollup", "Pss:")? * 1024,
    })
}

/// Bytes that a process caused to be written to storage (proc(5), `/proc/PID/io`).
fn written(pid: u32) -> Result<u64> {
    field_kib(pid, "io", "write_bytes:")
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

/// The number behind a word in one of a process's files.
fn field_kib(pid: u32, file: &str, word: &str) -> Result<u64> {
    number(&fs::read_to_string(format!("/proc/{pid}/{file}"))?, word)
}

fn number(text: &str, word: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number
        .and_then(|n| n.parse().ok())
        .with_context(|| format!("no {word}"))
}
