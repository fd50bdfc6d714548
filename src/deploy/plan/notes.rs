//! What is to be said of units, each sentence once, however many units it is about.

/// So many units are named before the others are counted.
const NAMED: usize = 4;

/// Sentences in the order in which they came, each with its units.
#[derive(Debug, Clone, Default)]
pub struct Notes(Vec<(String, Vec<String>)>);

impl Notes {
    /// Notes something of a unit.
    pub fn add(&mut self, unit: &str, text: impl Into<String>) {
        let text = text.into();
        let at = self.0.iter().position(|(known, _)| *known == text).unwrap_or_else(|| {
            self.0.push((text, Vec::new()));
            self.0.len() - 1
        });
        let units = &mut self.0[at].1;
        if units.iter().all(|known| known != unit) {
            units.push(unit.to_owned());
        }
    }

    /// The sentences, each behind its units.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(text, units)| format!("{}: {text}", named(units))).collect()
    }
}

fn named(units: &[String]) -> String {
    match units.len().checked_sub(NAMED) {
        None | Some(0 | 1) => units.join(", "),
        Some(others) => format!("{} and {others} more", units[..NAMED].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::Notes;

    #[test]
    fn a_sentence_is_said_once() {
        let mut notes = Notes::default();
        for (unit, text) in [("b", "x"), ("a", "y"), ("a", "x"), ("b", "x")] {
            notes.add(unit, text);
        }
        assert_eq!(notes.lines(), ["b, a: x", "a: y"]);
    }

    #[test]
    fn many_units_are_counted() {
        let mut notes = Notes::default();
        (1..=5).for_each(|unit| notes.add(&unit.to_string(), "x"));
        assert_eq!(notes.lines(), ["1, 2, 3, 4, 5: x"]);
        notes.add("6", "x");
        assert_eq!(notes.lines(), ["1, 2, 3, 4 and 2 more: x"]);
    }
}
