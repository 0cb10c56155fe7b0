//! Zig as C compiler, archiver and linker of every target, with the musl that it brings.
//!
//! Cargo and build scripts want one program without arguments, so each target gets a wrapper
//! script of two lines, which calls a copy of this program, which drops what Zig does not take
//! and starts Zig. Flags that only Zig's linker takes need a second link: Zig says how it called
//! its linker, and that call is made again with them. Nothing is installed outside `target/`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::cross::program::Program;
use crate::cross::target::{TARGETS, Target};
use crate::{pip, shell};

/// PyPI's `ziglang`. 0.15 is the last with musl's own malloc: the one that Zig brings since 0.16
/// keeps what is freed (2,028 KiB left of a 2.9 MiB peak where musl leaves 80), which an agent
/// that runs for years and idles most of them cannot have.
const VERSION: &str = "0.15.2";

/// The first argument that makes this program act as a target's C compiler and linker.
pub(crate) const AS_COMPILER: &str = "zig-cc";

/// For size; sections of their own let the linker drop what is not called (zstd's compressor), and
/// nothing unwinds. The macros are zstd's: one decoder of each kind instead of one for each
/// processor and block; all read the same format.
const SMALL_C_FLAGS: &str = "-Os -ffunction-sections -fdata-sections \
    -fno-unwind-tables -fno-asynchronous-unwind-tables \
    -DDYNAMIC_BMI2=0 -DHUF_FORCE_DECOMPRESS_X1=1 -DZSTD_FORCE_DECOMPRESS_SEQUENCES_SHORT=1 \
    -DZSTD_NO_INLINE=1";
/// For speed. Zig would add checks for undefined behaviour otherwise; and no panic unwinds through C.
const FAST_C_FLAGS: &str = "-O2 -ffunction-sections -fdata-sections -fno-sanitize=undefined \
    -fno-unwind-tables -fno-asynchronous-unwind-tables";
/// What libsqlite3-sys builds SQLite with and the relay never asks for: full text, R-trees, statistics
/// of pages and sounds.
const SQLITE_FLAGS: &str = "-USQLITE_ENABLE_FTS3 -USQLITE_ENABLE_FTS3_PARENTHESIS \
    -USQLITE_ENABLE_FTS5 -USQLITE_ENABLE_RTREE -USQLITE_ENABLE_DBSTAT_VTAB -USQLITE_SOUNDEX";

/// What Zig refuses and its linker takes.
pub(crate) const LINKER_ONLY: [&str; 2] = [
    // Functions with the same instructions become one. Nothing of ours compares their addresses.
    "-Wl,--icf=all",
    // A bit for each address that is adjusted at start instead of up to 24 bytes; musl reads it.
    "-Wl,--pack-dyn-relocs=relr",
];

/// An installed Zig with its wrappers.
pub(crate) struct Zig {
    /// Holds the wrappers: `<triple>-cc` and `ar`.
    bin: PathBuf,
}

impl Zig {
    /// Installs Zig and writes the wrappers, unless done before.
    ///
    /// # Errors
    /// If Zig cannot be had or the wrappers not written.
    pub(crate) fn install() -> Result<Zig> {
        let python = pip::venv("ziglang", VERSION)?.join("bin/python");
        // Another Zig, another path: cargo rebuilds when a linker's name changes, not its content.
        let bin = shell::target_dir().join(format!("xtask/bin-zig-{VERSION}"));
        fs::create_dir_all(&bin)?;
        // A copy, since cargo replaces the running program when somebody builds it meanwhile; for
        // the same reason by this path, which leads to the program even after that.
        let own = bin.join("xtask");
        let fresh = bin.join(format!("xtask.{}", std::process::id()));
        fs::copy("/proc/self/exe", &fresh).context("copying xtask")?;
        fs::rename(&fresh, &own)?;
        for target in TARGETS {
            let call = format!("{own:?} {AS_COMPILER} {} {python:?}", target.name);
            write_script(&bin.join(format!("{}-cc", target.triple)), &call)?;
        }
        write_script(&bin.join("ar"), &format!("{python:?} -m ziglang ar"))?;
        Ok(Zig { bin })
    }

    /// Makes cargo use the wrappers for this program on this target.
    pub(crate) fn configure(
        &self,
        program: &Program,
        target: &Target,
        cargo: &mut Command,
    ) -> Result<()> {
        let c_flags = if program.is_small {
            SMALL_C_FLAGS
        } else {
            FAST_C_FLAGS
        };
        let cc = self.bin.join(format!("{}-cc", target.triple));
        let name = target.in_env();
        // Build scripts may run elsewhere, so Zig's cache has an absolute path.
        let cache = std::path::absolute(shell::target_dir().join("xtask/zig-cache"))?;
        cargo
            .env(format!("CC_{name}"), &cc)
            .env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), &cc)
            .env(format!("AR_{name}"), self.bin.join("ar"))
            .env(format!("CFLAGS_{name}"), c_flags)
            .env("LIBSQLITE3_FLAGS", SQLITE_FLAGS)
            .env("ZIG_GLOBAL_CACHE_DIR", &cache)
            .env("ZIG_LOCAL_CACHE_DIR", &cache);
        Ok(())
    }
}

/// Writes an executable script that passes its arguments on to `call`.
fn write_script(path: &Path, call: &str) -> Result<()> {
    let write = || {
        fs::write(path, format!("#!/bin/sh\nexec {call} \"$@\"\n"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// Acts as a C compiler and linker: `zig-cc TARGET PYTHON ARGUMENTS…`.
pub(crate) fn run_as_compiler(args: Vec<OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let target = args
        .next()
        .map(|name| super::target::find(&name.to_string_lossy()));
    let (Some(Ok(target)), Some(python)) = (target, args.next()) else {
        eprintln!("{AS_COMPILER}: expected a target and the path of a Python that has ziglang");
        return ExitCode::FAILURE;
    };
    let zig = |tool: &str| {
        let mut command = Command::new(&python);
        command.args(["-m", "ziglang", tool]);
        command
    };
    let (linker_only, args) = translate(args);
    let mut compiler = zig("cc");
    compiler.args(target.zig).args(args);
    if linker_only.is_empty() {
        let error = compiler.exec();
        eprintln!("{AS_COMPILER}: cannot start zig: {error}");
        return ExitCode::FAILURE;
    }
    match link_again(&mut compiler, &mut zig("ld.lld"), &linker_only) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{AS_COMPILER}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Links once with Zig's compiler, which makes musl and the start files, then again with its
/// linker alone: the same arguments, and those that the compiler does not take.
fn link_again(compiler: &mut Command, linker: &mut Command, more: &[String]) -> Result<()> {
    let output = compiler.env("ZIG_VERBOSE_LINK", "1").output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "zig cc failed: {text}");
    let call = linker_call(&text).context("zig did not say how it called its linker")?;
    let flags = more.iter().filter_map(|flag| flag.strip_prefix("-Wl,"));
    shell::run(linker.args(call).args(flags))
}

/// The arguments in the line in which Zig says how it called its linker. Paths with spaces come
/// apart there; the linker then finds no such file.
fn linker_call(stderr: &str) -> Option<Vec<&str>> {
    let mut calls = stderr.lines().filter_map(|l| l.strip_prefix("ld.lld "));
    calls.next_back().map(|l| l.split_whitespace().collect())
}

/// The arguments of a gcc-like compiler as Zig takes them, after those for its linker only.
fn translate(args: impl Iterator<Item = OsString>) -> (Vec<String>, Vec<OsString>) {
    let (mut linker_only, mut out) = (Vec::new(), Vec::new());
    for arg in args {
        match arg.to_str() {
            // Rust's name of the target, which Zig does not know, and which it has already.
            Some(text) if text.starts_with("--target=") => {}
            Some(text) if LINKER_ONLY.contains(&text) => linker_only.push(text.to_owned()),
            // Zig brings its own.
            Some(text) if text.starts_with("-lgcc") => {}
            // rustc links static ARM binaries at a fixed address. Position-independent ones cost
            // 3 KiB and let the kernel place them at random.
            Some("-no-pie") => out.push("-pie".into()),
            Some("-static-pie") => out.extend(["-static".into(), "-pie".into()]),
            _ => out.push(arg),
        }
    }
    (linker_only, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_zigs() {
        let check = |given: &str, wanted: &str| {
            let (linker_only, out) = translate(given.split_whitespace().map(OsString::from));
            let wanted: Vec<OsString> = wanted.split_whitespace().map(OsString::from).collect();
            assert_eq!(out, wanted, "{given}");
            assert_eq!(linker_only.is_empty(), !given.contains("icf"), "{given}");
        };
        check("a.o -static -no-pie -lc", "a.o -static -pie -lc");
        check("a.o -static-pie", "a.o -static -pie");
        check("--target=armv7-unknown-linux-musleabihf -c a.c", "-c a.c");
        check("-lgcc -lgcc_eh -lgcc_s -lunwind", "-lunwind");
        check(
            "a.o -Wl,--icf=all -Wl,--gc-sections",
            "a.o -Wl,--gc-sections",
        );
    }

    #[test]
    fn the_linkers_call_is_found_among_warnings() {
        let text = "warning: x\nld.lld -O2 -o a a.o\nwarning: ld.lld y\n";
        assert_eq!(linker_call(text), Some(vec!["-O2", "-o", "a", "a.o"]));
        assert_eq!(linker_call("warning: ld.lld y"), None);
    }
}
