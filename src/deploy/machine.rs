//! What a program file runs on, told from its first bytes, so that no host gets one that it cannot run.

use std::fmt;

use object::macho::{self, CpuType, FatArch32, FatArch64, MachHeader64};
use object::read::elf::FileHeader;
use object::read::macho::{FatArch, MachHeader, MachOFatFile};
use object::{Endianness, FileKind, elf};

/// Kernel and processors of a program file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    os: &'static str,
    /// One, or all that a universal binary of macOS is for.
    archs: Vec<&'static str>,
    /// Whether it says that it has a code signature; of a universal binary that is not looked at.
    signed: bool,
}

impl Machine {
    /// Reads it from the first bytes of a file, of which there should be some thousand; `None` for scripts and for
    /// everything that we do not know.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        let darwin =
            |archs: Vec<_>, signed| Some(Self { os: "Darwin", archs, signed }).filter(|own| !own.archs.is_empty());
        match FileKind::parse(head).ok()? {
            FileKind::Elf64 => {
                let header = elf::FileHeader64::<Endianness>::parse(head).ok()?;
                // Linux's programs name the system of nobody in particular or its own; the BSDs have theirs.
                if ![elf::ELFOSABI_SYSV, elf::ELFOSABI_LINUX].contains(&header.e_ident().os_abi) {
                    return None;
                }
                let arch = match header.e_machine(header.endian().ok()?) {
                    elf::EM_X86_64 => "x86_64",
                    elf::EM_AARCH64 => "aarch64",
                    elf::EM_RISCV => "riscv64",
                    _ => return None,
                };
                Some(Self { os: "Linux", archs: vec![arch], signed: false })
            }
            FileKind::MachO64 => {
                let header = MachHeader64::<Endianness>::parse(head, 0).ok()?;
                let endian = header.endian().ok()?;
                let mut commands = header.load_commands(endian, head, 0).ok()?;
                let mut signed = false;
                while let Some(command) = commands.next().ok()? {
                    signed |= command.cmd() == macho::LC_CODE_SIGNATURE;
                }
                darwin(mac(header.cputype(endian)).into_iter().collect(), signed)
            }
            FileKind::MachOFat32 => darwin(universal::<FatArch32>(head), true),
            FileKind::MachOFat64 => darwin(universal::<FatArch64>(head), true),
            _ => None,
        }
    }

    /// Tells whether a host with this `uname -s` and `uname -m` can run it. macOS on ARM runs x86-64 too.
    #[must_use]
    pub fn runs_on(&self, os: &str, arch: &str) -> bool {
        let plain = |arch| if arch == "aarch64" { "arm64" } else { arch };
        let by_rosetta = |own| (os, own, plain(arch)) == ("Darwin", "x86_64", "arm64");
        let runs = |own: &&'static str| plain(own) == plain(arch) || by_rosetta(own);
        self.os == os && self.archs.iter().any(runs)
    }

    /// Tells whether it is for a Mac.
    #[must_use]
    pub fn is_for_mac(&self) -> bool {
        self.os == "Darwin"
    }

    /// Tells whether a Mac will end it at once for want of a signature: one with Apple silicon does that to its own
    /// programs, not to those for x86-64 ("macOS Big Sur 11 Universal Apps Release Notes").
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        self.os == "Darwin" && self.archs == ["arm64"] && !self.signed
    }
}

fn mac(cpu: CpuType) -> Option<&'static str> {
    match cpu {
        macho::CPU_TYPE_X86_64 => Some("x86_64"),
        macho::CPU_TYPE_ARM64 => Some("arm64"),
        _ => None,
    }
}

/// The processors of a universal binary. The class files of Java begin with the same bytes, and then have no known ones.
fn universal<Fat: FatArch>(head: &[u8]) -> Vec<&'static str> {
    let file = MachOFatFile::<Fat>::parse(head);
    file.map_or_else(|_| Vec::new(), |file| file.arches().iter().filter_map(|arch| mac(arch.cputype())).collect())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.os, self.archs.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::Machine;

    /// The header of a 64-bit, little-endian program, elf(5).
    fn elf(machine: u16, system: u8) -> Vec<u8> {
        let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, system];
        head.resize(18, 0);
        head.extend(machine.to_le_bytes());
        head.resize(64, 0);
        head
    }

    /// A header with load commands of these numbers, `mach-o/loader.h`.
    fn mach_o(cpu: u32, commands: &[u32]) -> Vec<u8> {
        let count = u32::try_from(commands.len()).unwrap();
        let header = [0xfeed_facf, cpu, 0, 2, count, 8 * count, 0, 0];
        let commands = commands.iter().flat_map(|command| [*command, 8]);
        header.into_iter().chain(commands).flat_map(u32::to_le_bytes).collect()
    }

    /// The head of a universal binary for these processors, `mach-o/fat.h`.
    fn universal(cpus: &[u32]) -> Vec<u8> {
        let head = [0xcafe_babe, u32::try_from(cpus.len()).unwrap()];
        let slices = cpus.iter().flat_map(|cpu| [*cpu, 0, 0x4000, 0x4000, 14]);
        head.into_iter().chain(slices).flat_map(u32::to_be_bytes).collect()
    }

    const X86_64: u32 = 0x0100_0007;
    const ARM64: u32 = 0x0100_000c;
    const SEGMENT: u32 = 0x19;
    const CODE_SIGNATURE: u32 = 0x1d;

    #[test]
    fn a_program_is_refused_where_it_cannot_run() {
        let x86 = Machine::of(&elf(62, 0)).unwrap();
        assert!(x86.runs_on("Linux", "x86_64"));
        assert!(!x86.runs_on("Linux", "aarch64"));
        assert!(!x86.runs_on("Darwin", "x86_64"));
        assert!(Machine::of(&elf(183, 3)).unwrap().runs_on("Linux", "aarch64"));
        let arm = Machine::of(&mach_o(ARM64, &[SEGMENT])).unwrap();
        assert!(arm.runs_on("Darwin", "arm64") && !arm.runs_on("Darwin", "x86_64"));
        let intel = Machine::of(&mach_o(X86_64, &[])).unwrap();
        assert!(intel.runs_on("Darwin", "arm64"), "Rosetta");
        let both = Machine::of(&universal(&[X86_64, ARM64])).unwrap();
        assert!(
            both.runs_on("Darwin", "arm64") && both.runs_on("Darwin", "x86_64") && !both.runs_on("Linux", "x86_64")
        );
        assert_eq!(both.to_string(), "Darwin x86_64 and arm64");
    }

    #[test]
    fn an_unsigned_program_for_apple_silicon_is_known() {
        assert!(Machine::of(&mach_o(ARM64, &[SEGMENT, SEGMENT])).unwrap().is_unsigned());
        for fine in [mach_o(ARM64, &[SEGMENT, CODE_SIGNATURE]), mach_o(X86_64, &[SEGMENT]), elf(183, 0)] {
            assert!(!Machine::of(&fine).unwrap().is_unsigned());
        }
    }

    #[test]
    fn what_is_unknown_is_not_judged() {
        let java = [0xcafe_babe_u32, 65].map(u32::to_be_bytes).concat();
        let mut cut = mach_o(ARM64, &[SEGMENT; 9]);
        cut.truncate(60);
        for head in [&b"#!/bin/sh\nexit 0\n    "[..], b"", b"\x7fELF", &elf(3, 0), &elf(62, 9), &java, &cut] {
            assert_eq!(Machine::of(head), None);
        }
    }
}
