//! What a shipped file needs of a host to be run there at all, read from the file itself: an interpreter, and of programs
//! that are linked with glibc its version.
//!
//! Only headers and the tables of versions and symbols are read, through the dynamic segment as ld.so(8) does it: section
//! headers may be stripped.

use std::fmt;
use std::io::{Read, Seek};

use camino::{Utf8Path, Utf8PathBuf};
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Sym};
use object::read::{ReadCache, StringTable};
use object::{Endianness, ReadRef};

/// Most entries of a list that are followed; no program has so many.
const MOST: usize = 4096;

/// What a file needs of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Requirements {
    /// Nothing that we know of: a static program, one for another system, or no program.
    #[default]
    Nothing,
    /// A program that `interpreter`, its dynamic loader, starts.
    Dynamic {
        /// Absolute path on the host.
        interpreter: Utf8PathBuf,
        /// The newest version of glibc that it refers to.
        glibc: Option<GlibcNeed>,
    },
    /// A script; the interpreter of its first line.
    Script {
        /// Absolute path on the host.
        interpreter: Utf8PathBuf,
    },
    /// A script that no kernel runs.
    BadScript(ScriptFault),
}

impl Requirements {
    /// The path on the host without which nothing can be started.
    #[must_use]
    pub fn interpreter(&self) -> Option<&Utf8Path> {
        match self {
            Self::Dynamic { interpreter, .. } | Self::Script { interpreter } => Some(interpreter),
            Self::Nothing | Self::BadScript(_) => None,
        }
    }
}

/// A version of glibc that a program needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GlibcNeed {
    /// Major and minor number.
    pub version: (u32, u32),
    /// A symbol that needs it, where the program has one.
    pub symbol: Option<String>,
}

/// Why no kernel runs a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScriptFault {
    /// The file is empty.
    Empty,
    /// It is text and does not begin with `#!`.
    NoInterpreter,
    /// A byte order mark is in front of `#!`.
    ByteOrderMark,
    /// The first line ends with a carriage return, which becomes part of the interpreter's name or argument.
    CarriageReturn,
}

impl fmt::Display for ScriptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::NoInterpreter => "is a script without a `#!` line, which no kernel runs",
            Self::ByteOrderMark => "has a byte order mark in front of `#!`, and no kernel runs it",
            Self::CarriageReturn => {
                "has a carriage return at the end of its `#!` line, and no kernel finds its interpreter"
            }
        })
    }
}

/// Reads what a file needs; `head` is its first bytes. What cannot be read needs nothing.
#[must_use]
pub fn requirements(head: &[u8], file: impl Read + Seek) -> Requirements {
    if head.starts_with(&elf::ELFMAG) {
        return of_elf(&ReadCache::new(file)).unwrap_or_default();
    }
    of_script(head)
}

fn of_script(head: &[u8]) -> Requirements {
    let Some(line) = head.strip_prefix(b"#!") else {
        // A file with NUL in it is a program of a kind that we do not know: some kernels may run it.
        return match head {
            b"" => Requirements::BadScript(ScriptFault::Empty),
            _ if head.contains(&0) => Requirements::Nothing,
            _ if head.starts_with(b"\xef\xbb\xbf#!") => Requirements::BadScript(ScriptFault::ByteOrderMark),
            _ => Requirements::BadScript(ScriptFault::NoInterpreter),
        };
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Requirements::BadScript(ScriptFault::CarriageReturn);
    }
    let word = line.trim_ascii_start().split(|byte| b" \t".contains(byte)).next().unwrap_or_default();
    // A relative path depends on the folder that the script is started in.
    match interpreter(word) {
        Some(interpreter) => Requirements::Script { interpreter },
        None => Requirements::Nothing,
    }
}

/// Takes an absolute path that a host can be asked for.
fn interpreter(path: &[u8]) -> Option<Utf8PathBuf> {
    let path = Utf8Path::new(std::str::from_utf8(path).ok()?);
    let is_plain =
        path.is_absolute() && !path.as_str().chars().any(char::is_control) && !path.iter().any(|part| part == "..");
    is_plain.then(|| path.to_owned())
}

fn of_elf<R: Read + Seek>(data: &ReadCache<R>) -> Option<Requirements> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    if ![elf::ELFOSABI_SYSV, elf::ELFOSABI_LINUX].contains(&header.e_ident().os_abi) {
        return None;
    }
    let image = Image::of(header, data)?;
    let loader = image.segments.iter().find_map(|segment| segment.interpreter(image.endian, data).ok().flatten())?;
    Some(Requirements::Dynamic { interpreter: interpreter(loader)?, glibc: image.glibc() })
}

/// A version as its name has it: `GLIBC_2.2.5` is 2, 2, 5.
type Version = (u32, u32, u32);

/// The name of a version of glibc; names such as `GLIBC_PRIVATE` and `GLIBC_ABI_DT_RELR` order nothing.
fn version(name: &[u8]) -> Option<Version> {
    let mut parts = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?.split('.').map(str::parse);
    let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
    Some((major, minor, parts.next().and_then(Result::ok).unwrap_or(0)))
}

/// What the dynamic segment of a program leads to.
struct Image<'data, R: Read + Seek> {
    data: &'data ReadCache<R>,
    endian: Endianness,
    segments: &'data [elf::ProgramHeader64<Endianness>],
    dynamic: &'data [elf::Dyn64<Endianness>],
}

impl<'data, R: Read + Seek> Image<'data, R> {
    fn of(header: &FileHeader64<Endianness>, data: &'data ReadCache<R>) -> Option<Self> {
        let endian = header.endian().ok()?;
        let segments = header.program_headers(endian, data).ok()?;
        let dynamic = segments.iter().find_map(|segment| segment.dynamic(endian, data).ok().flatten())?;
        Some(Self { data, endian, segments, dynamic })
    }

    fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.dynamic.iter().find(|entry| entry.tag(self.endian) == tag).map(|entry| entry.val(self.endian))
    }

    /// Where in the file the table of this tag is.
    fn table(&self, tag: elf::DynamicTag) -> Option<u64> {
        let address = self.value(tag)?;
        self.segments.iter().filter(|segment| segment.p_type(self.endian) == elf::PT_LOAD).find_map(|segment| {
            let (offset, size) = segment.file_range(self.endian);
            let into = address.checked_sub(segment.p_vaddr(self.endian)).filter(|into| *into < size)?;
            offset.checked_add(into)
        })
    }

    fn strings(&self) -> Option<StringTable<'data, &'data ReadCache<R>>> {
        let start = self.table(elf::DT_STRTAB)?;
        Some(StringTable::new(self.data, start, start.checked_add(self.value(elf::DT_STRSZ)?)?))
    }

    /// The newest version of glibc without which the loader refuses the program.
    fn glibc(&self) -> Option<GlibcNeed> {
        let strings = self.strings()?;
        let mut newest: Option<(Version, elf::VersionIndex)> = None;
        let mut need = self.table(elf::DT_VERNEED)?;
        for _ in 0..MOST {
            let file = self.data.read_at::<elf::Verneed<Endianness>>(need).ok()?;
            let mut one = need + u64::from(file.vn_aux.get(self.endian));
            for _ in 0..MOST {
                let aux = self.data.read_at::<elf::Vernaux<Endianness>>(one).ok()?;
                // Without a weak one the loader only warns.
                if !aux.vna_flags.get(self.endian).contains(elf::VER_FLG_WEAK)
                    && let Some(version) = version(strings.get(aux.vna_name.get(self.endian)).ok()?)
                    && newest.is_none_or(|(known, _)| version > known)
                {
                    newest = Some((version, aux.vna_other.get(self.endian)));
                }
                match aux.vna_next.get(self.endian) {
                    0 => break,
                    next => one += u64::from(next),
                }
            }
            match file.vn_next.get(self.endian) {
                0 => break,
                next => need += u64::from(next),
            }
        }
        let ((major, minor, _), index) = newest?;
        Some(GlibcNeed { version: (major, minor), symbol: self.symbol_of(index, &strings) })
    }

    /// A symbol that the program takes from elsewhere in this version.
    fn symbol_of(&self, index: elf::VersionIndex, strings: &StringTable<'data, &'data ReadCache<R>>) -> Option<String> {
        let (symbols, versions) = (self.table(elf::DT_SYMTAB)?, self.table(elf::DT_VERSYM)?);
        let size = size_of::<elf::Sym64<Endianness>>() as u64;
        let count =
            (self.room(symbols)? / size).min(self.room(versions)? / size_of::<elf::Versym<Endianness>>() as u64);
        let all = self.data.read_slice_at::<elf::Versym<Endianness>>(versions, usize::try_from(count).ok()?).ok()?;
        let of_version = (0..).zip(all).filter(|(_, versym)| versym.0.get(self.endian).index() == index);
        let symbols = of_version
            .filter_map(|(at, _)| self.data.read_at::<elf::Sym64<Endianness>>(symbols + at * size).ok())
            .filter(|symbol| symbol.is_undefined(self.endian));
        let name = |symbol: &elf::Sym64<Endianness>| strings.get(symbol.st_name(self.endian)).ok();
        // A weak one is not what makes the program need it, where there is another.
        let (mut weak, mut names) = (None, symbols.filter_map(|symbol| Some((symbol.is_weak(), name(symbol)?))));
        let strong = names.find_map(|(is_weak, name)| {
            if is_weak {
                weak.get_or_insert(name);
                None
            } else {
                Some(name)
            }
        });
        strong.or(weak).map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// How many bytes there are from a table to the next one: none says its own size.
    fn room(&self, table: u64) -> Option<u64> {
        let tags = [
            elf::DT_STRTAB,
            elf::DT_SYMTAB,
            elf::DT_VERSYM,
            elf::DT_VERNEED,
            elf::DT_VERDEF,
            elf::DT_GNU_HASH,
            elf::DT_HASH,
            elf::DT_RELA,
            elf::DT_REL,
            elf::DT_RELR,
            elf::DT_JMPREL,
            elf::DT_INIT,
        ];
        tags.into_iter().filter_map(|tag| self.table(tag)?.checked_sub(table)).filter(|room| *room > 0).min()
    }
}
