//! Text that quoting goes wrong on.

use proptest::prelude::*;
use proptest::sample::select;

/// Pieces that mean something to a unit file, a shell, or a careless writer of either.
const PIECES: [&str; 46] = [
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\\",
    "\\\\",
    "\"",
    "'",
    "%",
    "%%",
    "%h",
    "%n",
    "$",
    "$$",
    "${HOME}",
    "$HOME",
    "$(id)",
    "`id`",
    ";",
    " ; ",
    "\\;",
    "#",
    "@",
    "-",
    "+",
    "!",
    ":",
    "|",
    "~",
    "*",
    "?",
    "[Service]",
    "\n[Service]\nExecStart=/bin/false\n",
    "\nEnvironment=A=b\n",
    "=",
    "\\x41",
    "\\n",
    "\\101",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "é日😀",
];

/// Any text that a process can be given and that D-Bus carries.
pub(crate) fn text() -> impl Strategy<Value = String> {
    anything().prop_map(|text| text.chars().filter(|c| *c != '\0' && !is_noncharacter(*c)).collect())
}

/// Any text at all.
pub(crate) fn anything() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(&PIECES[..]).prop_map(str::to_owned),
        3 => "[ -~]{1,8}",
        1 => any::<char>().prop_map(String::from),
        1 => select(&['\0', '\u{fdd0}', '\u{fffe}', '\u{ffff}', '\u{10ffff}'][..]).prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

pub(crate) fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) % 0x1_0000 >= 0xfffe
}
