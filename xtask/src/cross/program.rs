//! The programs that ship as static binaries, and how each is compiled.

use std::path::PathBuf;

use anyhow::Result;

use crate::cross::target::{TARGETS, Target};
use crate::cross::zig::LINKER_ONLY;
use crate::shell;

/// A program of ours that ships.
#[derive(Debug)]
pub(crate) struct Program {
    /// The name of the package, and of its binary.
    pub(crate) name: &'static str,
    /// The cargo profile, in the workspace's `Cargo.toml`.
    pub(crate) profile: &'static str,
    /// The short names of the targets that it ships for.
    targets: &'static [&'static str],
    /// Whether every byte counts: std is built from source for size, and a panic traps.
    pub(crate) is_small: bool,
    /// A word of its `--help`.
    pub(crate) help_word: &'static str,
}

/// For devices.
pub(crate) static AGENT: Program = Program {
    name: "agent",
    profile: "device",
    targets: &["aarch64", "armv7", "x86_64"],
    is_small: true,
    help_word: "apply",
};

/// For servers, and for operators.
pub(crate) static RELAY: Program = Program {
    name: "relay",
    profile: "server",
    targets: &["aarch64", "x86_64"],
    is_small: false,
    help_word: "serve",
};

/// All programs.
pub(crate) static PROGRAMS: [&Program; 2] = [&AGENT, &RELAY];

/// The program of this name.
///
/// # Errors
/// A sentence that lists the names.
pub(crate) fn find(name: &str) -> Result<&'static Program, String> {
    let found = PROGRAMS.into_iter().find(|program| program.name == name);
    found.ok_or_else(|| format!("there is no program {name:?}; the programs are agent, relay"))
}

impl Program {
    /// Whether it ships for this target.
    pub(crate) fn ships_for(&self, target: &Target) -> bool {
        self.targets.contains(&target.name)
    }

    /// The targets that it ships for.
    pub(crate) fn targets(&self) -> Vec<&'static Target> {
        let ours = |target: &&Target| self.ships_for(target);
        TARGETS.into_iter().filter(ours).collect()
    }

    /// Where the finished binary lies.
    pub(crate) fn dist(&self, target: &Target) -> PathBuf {
        let folder = shell::root().join("dist").join(target.triple);
        folder.join(self.name)
    }

    /// What cargo gets beside package, profile and target.
    pub(crate) fn cargo_args(&self) -> &'static [&'static str] {
        // std from source, for size; the one way to have it for armv7 where rustup offers none,
        // and a third of the binary's size everywhere.
        if self.is_small {
            &[
                "-Zbuild-std=std,panic_abort",
                "-Zbuild-std-features=optimize_for_size",
            ]
        } else {
            &[]
        }
    }

    /// Compiler flags: those of the program, then the target's own.
    pub(crate) fn rust_flags(&self, target: &Target) -> Result<Vec<String>> {
        let sysroot = shell::capture(shell::rustc().args(["--print", "sysroot"]))?;
        let remap = |from: &str, to: &str| format!("--remap-path-prefix={from}={to}");
        let mut flags = vec![
            // Zig brings musl and its start files; rustc's own would come twice.
            "-Clink-self-contained=no".to_owned(),
            // The same binary from any checkout.
            remap(&shell::root().to_string_lossy(), "/coracle"),
            remap(&shell::cargo_home().to_string_lossy(), "/cargo"),
            remap(sysroot.trim(), "/rust"),
        ];
        if self.is_small {
            flags.extend([
                // A panic traps at once: neither its message nor the code that formats it is
                // linked.
                "-Zunstable-options".to_owned(),
                "-Cpanic=immediate-abort".to_owned(),
                // Then nothing walks the stack, and its tables (a sixth of the binary) can go.
                "-Cforce-unwind-tables=no".to_owned(),
                // Nor does anything say in which line it happened.
                "-Zlocation-detail=none".to_owned(),
            ]);
            flags.extend(LINKER_ONLY.map(|flag| format!("-Clink-arg={flag}")));
        } else {
            // A request that panics ends alone; Zig's unwinder stands in for gcc's.
            flags.push("-Clink-arg=-lunwind".to_owned());
        }
        flags.extend(target.rust_flags.iter().map(|flag| (*flag).to_owned()));
        Ok(flags)
    }
}
