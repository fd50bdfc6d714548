//! The name of the project that a manifest belongs to.

use camino::Utf8Path;

use super::problem::Problems;
use super::read::Entry;

/// Pattern of a name.
pub(super) const NAME: &str = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$";

/// Longest name in bytes.
pub(super) const LONGEST: usize = 64;

/// The name of a folder without one.
const NAMELESS: &str = "root";

/// Returns the name that is written, else that of the folder `dir`, made valid; `None` only with a note in `problems`.
pub(super) fn name(written: &Entry<String>, dir: &Utf8Path, problems: &mut Problems<'_>) -> Option<String> {
    let Some(at) = written.at() else { return Some(of_folder(dir)) };
    let name = &at.value;
    let is_valid = !name.is_empty() && name.len() <= LONGEST && !name.starts_with(['-', '.']) && name.chars().all(fits);
    if !is_valid {
        let help = format!("use at most {LONGEST} letters, digits, `-`, `_` and `.`, and neither `-` nor `.` first");
        problems.add(&at.span, format!("invalid project name {name:?}"), help);
    }
    is_valid.then(|| name.clone())
}

fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn of_folder(dir: &Utf8Path) -> String {
    let folder = dir.file_name().unwrap_or(NAMELESS);
    let name: String = folder.chars().map(|c| if fits(c) { c } else { '_' }).take(LONGEST).collect();
    // Different folders get different names where that is possible: only a leading character gives way.
    match name.strip_prefix(['-', '.']) {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_any_folder_becomes_valid() {
        for (dir, name) in [
            ("/srv/llm", "llm"),
            ("/srv/my app!", "my_app_"),
            ("/srv/.config", "_config"),
            ("/srv/-x", "_x"),
            ("/srv/é", "_"),
            ("/", "root"),
        ] {
            assert_eq!(of_folder(Utf8Path::new(dir)), name);
        }
        assert_eq!(of_folder(&Utf8Path::new("/").join("x".repeat(100))).len(), LONGEST);
    }
}
