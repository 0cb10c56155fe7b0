//! `cargo xtask demo`: the main job on real containers, told as it happens.
//!
//! A podman service of its own in a folder of its own; the machine's podman is never touched.
//! What is shown is what a technician would type and see. Every step checks what it claims.

pub(crate) mod cast;
mod story;
mod tell;

use std::io::{IsTerminal, Write};
use std::process::Command as Process;

use anyhow::{Context, Result, bail};
use lexopt::Arg::Long;

use crate::{Command, Usage, host, shell};

pub(crate) const COMMAND: Command = Command {
    name: "demo",
    summary: "shows rollouts, a rollback, refusals and a stick on a real relay and podman",
    help: "\
Usage: cargo xtask demo [--yes] [--keep] [--runtime podman]

Installs what is missing, builds, makes keys, starts a relay and a podman service of its own, and
then: enrols a device, rolls out version 1 of an app of three services and version 2, rolls out a
bad version 3 that the device rolls back by itself, kills a container, refuses a tampered and an
old bundle, kills the relay and applies version 4 from a file, and shows that the relay learns of it.
Needs root, or sudo, for containers. Ends with `demo: ok`.

Options:
  --yes               install missing Debian packages without asking
  --keep              leave the app running at the end, and say where
  --runtime podman    the container runtime (containerd comes later)
",
    run,
};

struct Options {
    yes: bool,
    keep: bool,
}

fn run(args: lexopt::Parser) -> Result<()> {
    let options = parse(args)?;
    if !options.yes && !host::missing_packages()?.is_empty() && !consent()? {
        bail!("nothing was installed; `--yes` installs without asking");
    }
    host::ensure_packages()?;
    let mut tell = tell::Teller::new(14);
    tell.step("Building the agent and the relay, and real images (the first time takes minutes)");
    // Both are built as the user who asked; only what follows needs root.
    let programs = [
        ("AGENT", e2e::binary("agent")?),
        ("RELAY", e2e::binary("relay")?),
    ];
    test_images::ensure_all()?;
    if !host::is_root()? {
        return as_root(&options, &programs);
    }
    tell.say(
        "mosquitto and nginx come from Debian packages, Node-RED from npm, two releases each.",
    );
    story::tell(&mut tell, options.keep)
}

fn parse(mut args: lexopt::Parser) -> Result<Options, Usage> {
    let mut options = Options {
        yes: false,
        keep: false,
    };
    while let Some(arg) = args.next()? {
        match arg {
            Long("yes") => options.yes = true,
            Long("keep") => options.keep = true,
            Long("runtime") => {
                let value = args.value()?;
                if value != "podman" {
                    return Err(Usage(format!("{value:?} cannot be shown yet, only podman")));
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// Asks before packages are installed; without a terminal there is nobody to ask.
fn consent() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("Debian packages are missing and nobody can be asked: run `cargo xtask demo --yes`");
    }
    print!("The demo needs Debian packages that are missing. Install them now? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Runs this program once more through sudo, on what has been built.
fn as_root(options: &Options, programs: &[(&str, std::path::PathBuf)]) -> Result<()> {
    if !shell::is_installed("sudo") {
        bail!("containers need root here, and sudo is not installed: run this as root");
    }
    let mut sudo = Process::new("sudo");
    for (name, path) in programs {
        sudo.arg(format!("CORACLE_TEST_{name}={}", path.display()));
    }
    sudo.arg(format!(
        "CARGO_TARGET_DIR={}",
        shell::target_dir().display()
    ));
    sudo.arg(std::env::current_exe()?).args(["demo", "--yes"]);
    if options.keep {
        sudo.arg("--keep");
    }
    let status = sudo.status().context("cannot start sudo")?;
    if !status.success() {
        bail!("the demo under sudo ended with {status}");
    }
    Ok(())
}
