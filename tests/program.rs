//! What shipped files need of a host, read from real programs of this machine, and what is damaged.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]

#[path = "support/program.rs"]
mod program;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::process::Command;

use proptest::prelude::*;
use unitbee::deploy::loader::{Loader, Unmet};
use unitbee::deploy::program::{GlibcNeed, Requirements, ScriptFault, requirements};
use unitbee::host::Libc;

/// A dynamic program, if this machine is a Linux whose programs are linked with glibc.
const UNITBEE: &str = env!("CARGO_BIN_EXE_unitbee");

fn of(bytes: &[u8]) -> Requirements {
    requirements(&bytes[..bytes.len().min(64 << 10)], Cursor::new(bytes))
}

/// Takes the needs of unitbee itself apart.
fn own(test: &str) -> Option<(Vec<u8>, GlibcNeed)> {
    let bytes = fs::read(UNITBEE).unwrap();
    let Requirements::Dynamic { glibc: Some(need), .. } = of(&bytes) else {
        skip::skip(test, "programs of this machine are not linked with glibc");
        return None;
    };
    Some((bytes, need))
}

#[test]
fn a_program_needs_the_newest_version_that_objdump_shows() {
    let test = "a_program_needs_the_newest_version_that_objdump_shows";
    let Some((_, need)) = own(test) else { return };
    let Ok(output) = Command::new("objdump").args(["-T", UNITBEE]).output() else {
        return skip::skip(test, "objdump is not installed");
    };
    let table = String::from_utf8(output.stdout).unwrap();
    // `0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.34) __libc_start_main`
    let symbols = table.lines().filter(|line| line.contains("*UND*")).filter_map(|line| {
        let (before, name) = line.rsplit_once(' ')?;
        let (_, version) = before.trim_end().rsplit_once("GLIBC_")?;
        let mut parts = version.trim_end_matches(')').split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??, name, before.contains(" w ")))
    });
    let strong: Vec<_> = symbols.filter(|(.., weak)| !weak).collect();
    let newest = strong.iter().map(|(major, minor, ..)| (*major, *minor)).max().unwrap();
    assert_eq!(need.version, newest);
    let names: Vec<&str> =
        strong.iter().filter(|(major, minor, ..)| (*major, *minor) == newest).map(|(_, _, name, _)| *name).collect();
    assert!(names.contains(&need.symbol.as_deref().unwrap()), "{need:?} is none of {names:?}");
}

#[test]
fn a_stripped_program_and_one_without_section_headers_need_the_same() {
    let test = "a_stripped_program_and_one_without_section_headers_need_the_same";
    let Some((mut bytes, need)) = own(test) else { return };
    let whole = of(&bytes);
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("stripped");
    match Command::new("strip").arg("-o").arg(&stripped).arg(UNITBEE).status() {
        Ok(status) => assert!(status.success(), "strip: {status}"),
        Err(error) => return skip::skip(test, &format!("strip: {error}")),
    }
    assert_eq!(of(&fs::read(stripped).unwrap()), whole);
    // e_shoff, then e_shentsize, e_shnum and e_shstrndx, elf(5).
    bytes[40..48].fill(0);
    bytes[58..64].fill(0);
    assert_eq!(of(&bytes), whole);
    assert!(need.symbol.is_some());
}

/// Counts what is read.
struct Counted<R>(R, u64);

impl<R: Read> Read for &mut Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1 += read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for &mut Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn only_a_small_part_of_a_program_is_read() {
    let Some((bytes, _)) = own("only_a_small_part_of_a_program_is_read") else { return };
    let mut file = Counted(fs::File::open(UNITBEE).unwrap(), 0);
    assert_ne!(requirements(&bytes[..64], &mut file), Requirements::Nothing);
    assert!(file.1 < 64 << 10, "{} bytes of {}", file.1, bytes.len());
}

#[test]
fn a_static_program_and_one_of_another_system_need_nothing() {
    assert_eq!(of(&fs::read(program::build("worker")).unwrap()), Requirements::Nothing);
    let Some((mut bytes, _)) = own("a_static_program_and_one_of_another_system_need_nothing") else { return };
    bytes[7] = 9; // ELFOSABI_FREEBSD
    assert_eq!(of(&bytes), Requirements::Nothing);
}

#[test]
fn scripts_need_their_interpreter() {
    let script = |interpreter: &str| Requirements::Script { interpreter: interpreter.into() };
    for (text, needs) in [
        (&b"#!/bin/sh\nexit 0\n"[..], script("/bin/sh")),
        (b"#!/bin/sh", script("/bin/sh")),
        (b"#! \t/opt/venv/bin/python3 -u\nx\r\n", script("/opt/venv/bin/python3")),
        (b"#!/usr/bin/env python3\n", script("/usr/bin/env")),
        (b"#!python3\n", Requirements::Nothing),
        (b"#!\n", Requirements::Nothing),
        (b"#!/../bin/sh\n", Requirements::Nothing),
        (b"#!/bin/\xff\n", Requirements::Nothing),
        (b"#!/bin/sh\r\nexit 0\r\n", Requirements::BadScript(ScriptFault::CarriageReturn)),
        (b"#!/usr/bin/env python3\r\n", Requirements::BadScript(ScriptFault::CarriageReturn)),
        (b"\xef\xbb\xbf#!/bin/sh\n", Requirements::BadScript(ScriptFault::ByteOrderMark)),
        (b"echo hello\n", Requirements::BadScript(ScriptFault::NoInterpreter)),
        (b"", Requirements::BadScript(ScriptFault::Empty)),
        (b"PK\x03\x04\0\0 a jar", Requirements::Nothing),
        (b"\xca\xfe\xba\xbe\0\0\0\x41", Requirements::Nothing),
        (b"\x7fELF", Requirements::Nothing),
    ] {
        assert_eq!(of(text), needs, "{:?}", String::from_utf8_lossy(text));
    }
}

#[test]
fn needs_are_compared_with_what_the_host_has() {
    let need = GlibcNeed { version: (2, 38), symbol: Some("__isoc23_strtol".into()) };
    let dynamic = |loader: &str| Requirements::Dynamic { interpreter: loader.into(), glibc: Some(need.clone()) };
    let program = dynamic("/lib64/ld-linux-x86-64.so.2");
    let host = |libc, missing: &[&str]| Loader { libc, missing: missing.iter().map(Into::into).collect() };
    let told = |host: &Loader, needs: &Requirements| host.unmet(needs).map(|unmet| unmet.to_string());

    let old = host(Libc::Glibc(2, 31), &[]);
    let words = "needs glibc 2.38 (symbol __isoc23_strtol), the host has glibc 2.31";
    assert_eq!(told(&old, &program).as_deref(), Some(words));
    for fine in [Libc::Glibc(2, 38), Libc::Glibc(2, 40), Libc::Glibc(3, 0), Libc::Musl, Libc::Unknown] {
        assert_eq!(told(&host(fine, &[]), &program), None, "{fine:?}");
    }
    // It has a glibc of its own with it.
    assert_eq!(old.unmet(&dynamic("/nix/store/x-glibc-2.40/lib/ld-linux-x86-64.so.2")), None);

    let gone = ["/lib64/ld-linux-x86-64.so.2"];
    assert_eq!(host(Libc::Musl, &gone).unmet(&program), Some(Unmet::Musl));
    let loader = "is a dynamic program for the loader /lib64/ld-linux-x86-64.so.2, which is not on the host";
    assert_eq!(told(&host(Libc::Unknown, &gone), &program).as_deref(), Some(loader));
    let script = Requirements::Script { interpreter: "/opt/python3".into() };
    let words = "is a script for /opt/python3, which is not on the host";
    assert_eq!(told(&host(Libc::Musl, &["/opt/python3"]), &script).as_deref(), Some(words));
    assert_eq!(old.unmet(&script), None);
    assert!(old.unmet(&Requirements::BadScript(ScriptFault::Empty)).is_some());
    assert_eq!(old.unmet(&Requirements::Nothing), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_program_is_no_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        thread_local!(static TRUE: Vec<u8> = fs::read("/bin/true").unwrap());
        let mut bytes = TRUE.with(Clone::clone);
        for (at, byte) in damage {
            // Headers and tables are where it counts.
            let at = at.index(bytes.len().min(8 << 10));
            bytes[at] = byte;
        }
        of(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        of(&bytes);
    }
}
