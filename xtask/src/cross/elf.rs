//! What a finished binary must be: static, for its machine, and placed at random by the kernel.

use anyhow::{Context, Result, bail};
use object::elf::{DT_NEEDED, ET_DYN, PF_X, PT_GNU_STACK, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, elf};

use crate::cross::target::Target;

/// What the headers say.
#[derive(Debug, PartialEq)]
struct Facts {
    machine: u16,
    /// Asks for a dynamic loader (`PT_INTERP`).
    has_loader: bool,
    /// Shared libraries that it asks for (`DT_NEEDED`).
    library_count: usize,
    is_position_independent: bool,
    has_executable_stack: bool,
}

/// Checks a binary.
///
/// # Errors
/// Says which property is missing.
pub(crate) fn check(binary: &[u8], target: &Target) -> Result<()> {
    let facts = read(binary).context("reading the ELF headers")?;
    if facts.machine != target.machine {
        bail!(
            "built for ELF machine {}, not {}",
            facts.machine,
            target.machine
        );
    }
    if facts.has_loader || facts.library_count > 0 {
        bail!(
            "not static: loader: {}, libraries: {}",
            facts.has_loader,
            facts.library_count
        );
    }
    if !facts.is_position_independent {
        bail!("not position-independent");
    }
    if facts.has_executable_stack {
        bail!("the stack is executable");
    }
    Ok(())
}

fn read(binary: &[u8]) -> Result<Facts> {
    match FileKind::parse(binary)? {
        FileKind::Elf32 => read_as::<elf::FileHeader32<Endianness>>(binary),
        FileKind::Elf64 => read_as::<elf::FileHeader64<Endianness>>(binary),
        other => bail!("not an ELF file but {other:?}"),
    }
}

fn read_as<Header: FileHeader<Endian = Endianness>>(binary: &[u8]) -> Result<Facts> {
    let header = Header::parse(binary)?;
    let endian = header.endian()?;
    let mut facts = Facts {
        machine: header.e_machine(endian),
        has_loader: false,
        library_count: 0,
        is_position_independent: header.e_type(endian) == ET_DYN,
        // Without the header the kernel makes it executable.
        has_executable_stack: true,
    };
    for segment in header.program_headers(endian, binary)? {
        match segment.p_type(endian) {
            PT_INTERP => facts.has_loader = true,
            PT_GNU_STACK => facts.has_executable_stack = segment.p_flags(endian) & PF_X != 0,
            _ => {}
        }
        for entry in segment.dynamic(endian, binary)?.unwrap_or_default() {
            if entry.tag32(endian) == Some(DT_NEEDED) {
                facts.library_count += 1;
            }
        }
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_not_taken_for_static() {
        // The test program itself, which is linked to the host's C library.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let facts = read(&own).unwrap();
        assert!(facts.has_loader && facts.library_count > 0, "{facts:?}");
        let target = Target {
            name: "host",
            triple: "host",
            zig: &[],
            rust_flags: &[],
            machine: facts.machine,
            emulator: "",
        };
        let error = check(&own, &target).unwrap_err().to_string();
        assert!(error.starts_with("not static"), "{error}");
        let other = Target {
            machine: facts.machine + 1,
            ..target
        };
        let error = check(&own, &other).unwrap_err().to_string();
        assert!(error.starts_with("built for ELF machine"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        for text in [&b"#!/bin/sh\n"[..], b"", b"\x7fELF\x02\x01\x01"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
