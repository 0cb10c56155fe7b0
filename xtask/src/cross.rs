//! `cargo xtask cross`: static binaries of the agent and the relay, checked and within budget.
//!
//! The way of a binary: [`build`](self::run) → `dist/<triple>/<program>` → [`elf`] (static,
//! position-independent) → run under emulation → [`budget`]. [`program`] says what ships for what.

pub(crate) mod budget;
mod elf;
pub(crate) mod program;
mod smoke;
pub(crate) mod target;
pub(crate) mod zig;

use std::fs;

use anyhow::{Context, Result};

use crate::cross::program::{PROGRAMS, Program};
use crate::cross::target::{TARGETS, Target};
use crate::cross::zig::Zig;
use crate::{Command, Usage, host, shell};

pub(crate) const COMMAND: Command = Command {
    name: "cross",
    summary: "builds the agent and the relay as static binaries: dist/<triple>/",
    help: "\
Usage: cargo xtask cross [--target aarch64|armv7|x86_64]… [--program agent|relay]…

Builds static binaries into dist/<triple>/: the agent for all three targets, the relay for aarch64
and x86_64. Checks that each is static, runs it (under qemu-user where the processor differs) and
holds it against the size budget in cross/budget.toml.

Installs what it needs: rust-src and targets (rustup), the Zig C compiler (PyPI, under target/),
and qemu-user-static (apt-get). The first build takes about 2 minutes for each agent and 5 for each
relay on two cores.

Options:
  --target T    only this target; may be given several times
  --program P   only this program; may be given several times
",
    run,
};

/// A finished binary.
pub(crate) struct Built {
    pub(crate) program: &'static Program,
    pub(crate) target: &'static Target,
    pub(crate) bytes: u64,
}

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut targets, mut programs) = (Vec::new(), Vec::new());
    while let Some(arg) = args.next().map_err(Usage::from)? {
        match arg {
            lexopt::Arg::Long("target") => {
                let name = args.value().map_err(Usage::from)?;
                targets.push(target::find(&name.to_string_lossy()).map_err(Usage)?);
            }
            lexopt::Arg::Long("program") => {
                let name = args.value().map_err(Usage::from)?;
                programs.push(program::find(&name.to_string_lossy()).map_err(Usage)?);
            }
            other => return Err(Usage::from(other.unexpected()).into()),
        }
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    if programs.is_empty() {
        programs.extend(PROGRAMS);
    }
    let mut wanted = Vec::new();
    for program in programs {
        let fits = targets.iter().filter(|target| program.ships_for(target));
        wanted.extend(fits.map(|target| (program, *target)));
    }
    if wanted.is_empty() {
        return Err(Usage("the relay does not ship for armv7".to_owned()).into());
    }
    let budget = budget::read()?;
    let mut over = Ok(());
    for built in build_and_check(&wanted)? {
        println!("{}", budget.row(&built));
        over = over.and_then(|()| budget.check(&built));
    }
    over
}

/// Everything that ships.
pub(crate) fn all() -> Vec<(&'static Program, &'static Target)> {
    let pairs = |program: &&'static Program| {
        let program = *program;
        let targets = program.targets().into_iter();
        targets
            .map(move |target| (program, target))
            .collect::<Vec<_>>()
    };
    PROGRAMS.iter().flat_map(pairs).collect()
}

/// Builds each program for each target, and checks that the binary is static and runs.
///
/// # Errors
/// At the first one that does not build or does not pass; `dist/` then holds what was built.
pub(crate) fn build_and_check(
    wanted: &[(&'static Program, &'static Target)],
) -> Result<Vec<Built>> {
    let zig = Zig::install()?;
    wanted
        .iter()
        .map(|(program, target)| {
            let built = build_one(program, target, &zig);
            built.with_context(|| format!("{} for {}", program.name, target.triple))
        })
        .collect()
}

fn build_one(program: &'static Program, target: &'static Target, zig: &Zig) -> Result<Built> {
    let name = program.name;
    eprintln!("cross: {name} for {}", target.triple);
    let mut cargo = shell::cargo();
    cargo
        .args(["build", "--package", name, "--bin", name])
        .args(["--profile", program.profile, "--target", target.triple])
        .args(program.cargo_args());
    if program.is_small {
        host::ensure_rust_component("rust-src")?;
        // What lets the pinned stable compiler take the -Z options.
        cargo.env("RUSTC_BOOTSTRAP", "1");
    } else {
        host::ensure_rust_target(target.triple)?;
    }
    let flags = program.rust_flags(target)?.join("\x1f");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    zig.configure(program, target, &mut cargo)?;
    shell::run(&mut cargo)?;

    let out = shell::target_dir().join(target.triple);
    let out = out.join(program.profile).join(name);
    let binary = fs::read(&out).with_context(|| format!("reading {}", out.display()))?;
    elf::check(&binary, target)?;
    let dist = program.dist(target);
    fs::create_dir_all(dist.parent().unwrap_or(&dist))?;
    fs::copy(&out, &dist).with_context(|| format!("writing {}", dist.display()))?;
    smoke::check(program, target)?;
    Ok(Built {
        program,
        target,
        bytes: binary.len() as u64,
    })
}
