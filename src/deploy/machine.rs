//! What a program file runs on, told from its first bytes (elf(5), `mach-o/loader.h`), so that no host gets one that
//! it cannot run.

use std::fmt;

/// Kernel and processor of a program file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    os: &'static str,
    arch: &'static str,
}

impl Machine {
    /// Reads it from the first 20 bytes or more of a file; `None` for scripts and for everything that we do not know.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            // e_machine is at 18, in the byte order that EI_DATA at 5 tells; only little-endian ones are known here.
            // The system is EI_OSABI at 7: that of Linux is nobody's in particular, the BSDs have their own.
            [0x7f, b'E', b'L', b'F', _, 1, _, 0 | 3, ..] => {
                let arch = match (head.get(4)?, u16::from_le_bytes([*head.get(18)?, *head.get(19)?])) {
                    (2, 62) => "x86_64",
                    (2, 183) => "aarch64",
                    (2, 243) => "riscv64",
                    _ => return None,
                };
                Some(Self { os: "Linux", arch })
            }
            [0xcf, 0xfa, 0xed, 0xfe, cpu @ ..] => {
                let arch = match cpu.get(..4)? {
                    [0x07, 0, 0, 1] => "x86_64",
                    [0x0c, 0, 0, 1] => "arm64",
                    _ => return None,
                };
                Some(Self { os: "Darwin", arch })
            }
            _ => None,
        }
    }

    /// Tells whether a host with this `uname -s` and `uname -m` can run it. macOS on ARM runs x86-64 too.
    #[must_use]
    pub fn runs_on(self, os: &str, arch: &str) -> bool {
        let same = |one: &str, other: &str| one == other || (one, other) == ("arm64", "aarch64");
        self.os == os
            && (same(self.arch, arch)
                || same(arch, self.arch)
                || (os, self.arch, arch) == ("Darwin", "x86_64", "arm64"))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.os, self.arch)
    }
}

#[cfg(test)]
mod tests {
    use super::Machine;

    fn elf(class: u8, machine: u16) -> Vec<u8> {
        let mut head = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
        head.resize(18, 0);
        head.extend(machine.to_le_bytes());
        head
    }

    #[test]
    fn a_program_is_refused_where_it_cannot_run() {
        let x86 = Machine::of(&elf(2, 62)).unwrap();
        assert!(x86.runs_on("Linux", "x86_64"));
        assert!(!x86.runs_on("Linux", "aarch64"));
        assert!(!x86.runs_on("Darwin", "x86_64"));
        let arm = Machine::of(&[0xcf, 0xfa, 0xed, 0xfe, 0x0c, 0, 0, 1]).unwrap();
        assert!(arm.runs_on("Darwin", "arm64") && !arm.runs_on("Darwin", "x86_64"));
        let intel = Machine::of(&[0xcf, 0xfa, 0xed, 0xfe, 0x07, 0, 0, 1]).unwrap();
        assert!(intel.runs_on("Darwin", "arm64"), "Rosetta");
    }

    #[test]
    fn what_is_unknown_is_not_judged() {
        let mut freebsd = elf(2, 62);
        freebsd[7] = 9;
        for head in [&b"#!/bin/sh\nexit 0\n    "[..], b"", b"\x7fELF", &elf(1, 3), &freebsd] {
            assert_eq!(Machine::of(head), None);
        }
    }
}
