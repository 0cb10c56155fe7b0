//! The targets: processors, their names and what compilers need for each.

use object::elf::{EM_AARCH64, EM_ARM, EM_X86_64};

/// One target that programs are built for.
#[derive(Debug)]
pub(crate) struct Target {
    /// The short name on the command line, which is also Rust's name of the processor.
    pub(crate) name: &'static str,
    /// Rust's target triple.
    pub(crate) triple: &'static str,
    /// The same for Zig, with what its C compiler needs besides.
    pub(crate) zig: &'static [&'static str],
    /// Flags for rustc.
    pub(crate) rust_flags: &'static [&'static str],
    /// The machine in the ELF header.
    pub(crate) machine: u16,
    /// The program that runs it on another processor.
    pub(crate) emulator: &'static str,
}

/// All targets.
pub(crate) static TARGETS: [&Target; 3] = [
    &Target {
        name: "aarch64",
        triple: "aarch64-unknown-linux-musl",
        zig: &["-target", "aarch64-linux-musl"],
        rust_flags: &[],
        machine: EM_AARCH64,
        emulator: "qemu-aarch64-static",
    },
    &Target {
        name: "armv7",
        triple: "armv7-unknown-linux-musleabihf",
        // Rust's armv7: hard float with 16 registers, and no NEON. Thumb-2, which every ARMv7-A
        // has, is a quarter smaller than the ARM instructions that are the default.
        zig: &[
            "-target",
            "arm-linux-musleabihf",
            "-mcpu=generic+v7a+vfp3-d32-neon",
            "-mthumb",
        ],
        rust_flags: &["-Ctarget-feature=+thumb-mode"],
        machine: EM_ARM,
        emulator: "qemu-arm-static",
    },
    &Target {
        name: "x86_64",
        triple: "x86_64-unknown-linux-musl",
        zig: &["-target", "x86_64-linux-musl"],
        rust_flags: &[],
        machine: EM_X86_64,
        emulator: "qemu-x86_64-static",
    },
];

/// The target of this short name.
///
/// # Errors
/// A sentence that lists the names.
pub(crate) fn find(name: &str) -> Result<&'static Target, String> {
    TARGETS
        .into_iter()
        .find(|target| target.name == name)
        .ok_or_else(|| {
            let names = TARGETS.map(|target| target.name).join(", ");
            format!("there is no target {name:?}; the targets are {names}")
        })
}

impl Target {
    /// The emulator, unless this host runs the binary itself.
    pub(crate) fn emulator(&self) -> Option<&'static str> {
        (std::env::consts::ARCH != self.name).then_some(self.emulator)
    }

    /// The triple as part of an environment variable's name.
    pub(crate) fn in_env(&self) -> String {
        self.triple.replace('-', "_")
    }
}
