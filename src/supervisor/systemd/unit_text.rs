//! The text of a unit file as systemd reads it: sections, settings, lines that go on.

/// One setting of a unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Its section.
    pub(super) section: String,
    /// Its name.
    pub(super) key: String,
    /// What stands behind the `=`.
    pub(super) value: String,
    /// Lines of comment right above it.
    pub(super) comments: Vec<String>,
}

/// Reads the settings of a unit file in their order. Like systemd (`config_parse` of conf-parser.c) it takes a line that
/// ends with a backslash together with the next one, and passes over what is no setting.
pub(super) fn read(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut section = String::new();
    let mut comments = Vec::new();
    let mut begun: Option<String> = None;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            // One between two parts of a line is passed over.
            if begun.is_none() {
                comments.push(line.to_owned());
            }
            continue;
        }
        let line = begun.take().map_or_else(|| line.to_owned(), |begun| begun + line);
        if let Some(unfinished) = line.strip_suffix('\\') {
            begun = Some(format!("{unfinished} "));
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
            comments.clear();
        } else if let Some((key, value)) = line.split_once('=') {
            let comments = std::mem::take(&mut comments);
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            settings.push(Setting { section: section.clone(), key, value, comments });
        } else {
            comments.clear();
        }
    }
    settings
}

/// Reads the assignments of a value of `Environment=`, as far as their text tells them: quotes are taken off, escapes and
/// specifiers are left as they are.
pub(super) fn assignments(value: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => {
                let word = word.get_or_insert_default();
                word.push('\\');
                word.extend(characters.next());
            }
            (_, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, None) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    let split = |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    words.iter().filter_map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_systemd_reads_them() {
        let text =
            "junk\n[Service]\n# why\n; and how\n Nice = 5 \nExecStart=/a \\\n# between\n  b\r\n\n[Unit]\nAfter=\n";
        let read: Vec<(String, String, String)> =
            read(text).into_iter().map(|one| (one.section, one.key, one.value)).collect();
        let expected = [("Service", "Nice", "5"), ("Service", "ExecStart", "/a  b"), ("Unit", "After", "")];
        assert_eq!(read, expected.map(|(s, k, v)| (s.to_owned(), k.to_owned(), v.to_owned())));
        assert_eq!(super::read(text)[0].comments, ["# why", "; and how"]);
    }

    #[test]
    fn assignments_are_split_at_blanks_outside_of_quotes() {
        let expected = [("A", "1 2"), ("B", "x"), ("C", "a\\\"b")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(assignments("\"A=1 2\" B='x' \"C=a\\\"b\""), expected);
    }
}
