//! `cargo xtask cross`: one static `agent` per target, checked and within its size budget.
//!
//! The way of a binary: [`build`](self::run) → `dist/<triple>/agent` → [`elf`] (static,
//! position-independent) → run under emulation → [`budget`]. Never builds the relay.

pub(crate) mod budget;
mod elf;
mod smoke;
pub(crate) mod target;
pub(crate) mod zig;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cross::target::Target;
use crate::cross::zig::Zig;
use crate::{Command, Usage, host, shell};

pub(crate) const COMMAND: Command = Command {
    name: "cross",
    summary: "builds the agent for the devices: dist/<triple>/agent",
    help: "\
Usage: cargo xtask cross [--target aarch64|armv7|x86_64]

Builds one static agent per target (all three unless --target is given) into dist/<triple>/agent,
checks that it is static, runs it (under qemu-user where the processor differs) and holds it
against the size budget in cross/budget.toml.

Installs what it needs: rust-src (rustup), the Zig C compiler (PyPI, under target/), and
qemu-user-static (apt-get). The first build takes about 2 minutes per target on two cores.

Options:
  --target T   only this target; may be given several times
",
    run,
};

/// A finished binary.
pub(crate) struct Built {
    pub(crate) target: &'static Target,
    pub(crate) bytes: u64,
}

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut targets = Vec::new();
    while let Some(arg) = args.next().map_err(Usage::from)? {
        match arg {
            lexopt::Arg::Long("target") => {
                let name = args.value().map_err(Usage::from)?;
                targets.push(target::find(&name.to_string_lossy()).map_err(Usage)?);
            }
            other => return Err(Usage::from(other.unexpected()).into()),
        }
    }
    if targets.is_empty() {
        targets.extend(target::TARGETS);
    }
    let budget = budget::read()?;
    let mut over = Ok(());
    for built in build_and_check(&targets)? {
        println!("{}", budget.row(&built));
        over = over.and_then(|()| budget.check(&built));
    }
    over
}

/// Builds the agent for each target, and checks that the binary is static and runs.
///
/// # Errors
/// At the first target that does not build or does not pass; `dist/` then holds what was built.
pub(crate) fn build_and_check(targets: &[&'static Target]) -> Result<Vec<Built>> {
    host::ensure_rust_component("rust-src")?;
    let zig = Zig::install()?;
    targets
        .iter()
        .map(|target| build_one(target, &zig).with_context(|| target.triple))
        .collect()
}

fn build_one(target: &'static Target, zig: &Zig) -> Result<Built> {
    eprintln!("cross: {}", target.triple);
    let mut cargo = shell::cargo();
    cargo
        .args([
            "build",
            "--package",
            "agent",
            "--bin",
            "agent",
            "--profile",
            "device",
        ])
        .args(["--target", target.triple])
        // std from source, for size; the one way to have it for armv7 where rustup offers none,
        // and a third of the binary's size everywhere. RUSTC_BOOTSTRAP is what lets the pinned
        // stable compiler take the -Z options.
        .args([
            "-Zbuild-std=std,panic_abort",
            "-Zbuild-std-features=optimize_for_size",
        ])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(target)?.join("\x1f"));
    zig.configure(target, &mut cargo)?;
    shell::run(&mut cargo)?;

    let out = shell::target_dir().join(target.triple).join("device/agent");
    let agent = fs::read(&out).with_context(|| format!("reading {}", out.display()))?;
    elf::check(&agent, target)?;
    let dist = dist(target);
    fs::create_dir_all(dist.parent().unwrap_or(&dist))?;
    fs::copy(&out, &dist).with_context(|| format!("writing {}", dist.display()))?;
    smoke::check(&dist, target)?;
    Ok(Built {
        target,
        bytes: agent.len() as u64,
    })
}

/// Where the finished binary lies.
pub(crate) fn dist(target: &Target) -> PathBuf {
    shell::root().join("dist").join(target.triple).join("agent")
}

/// Compiler flags: those of all targets, then the target's own.
fn rust_flags(target: &Target) -> Result<Vec<String>> {
    let sysroot = shell::capture(shell::rustc().args(["--print", "sysroot"]))?;
    let remap = |from: &str, to: &str| format!("--remap-path-prefix={from}={to}");
    let mut flags = vec![
        // Zig brings musl and its start files; rustc's own would come twice.
        "-Clink-self-contained=no".to_owned(),
        // A panic traps at once: neither its message nor the code that formats it is linked.
        "-Zunstable-options".to_owned(),
        "-Cpanic=immediate-abort".to_owned(),
        // Then nothing walks the stack, and its tables (a sixth of the binary) can go.
        "-Cforce-unwind-tables=no".to_owned(),
        // The same binary from any checkout.
        remap(&shell::root().to_string_lossy(), "/coracle"),
        remap(&shell::cargo_home().to_string_lossy(), "/cargo"),
        remap(sysroot.trim(), "/rust"),
    ];
    flags.extend(target.rust_flags.iter().map(|flag| (*flag).to_owned()));
    Ok(flags)
}
