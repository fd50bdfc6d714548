//! What a program does when it runs. The bytes of a program of the simulated world say it themselves, in one line:
//!
//! ```text
//! behave: healthy
//! behave: exits 3 after 0ms
//! behave: answers 500
//! behave: healthy for 1000ms then 500
//! behave: never listens, ignores TERM
//! ```

use std::time::Duration;

const MARK: &str = "behave: ";

/// What a program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behaviour {
    /// The code that it exits with by itself, and after how long.
    pub(crate) exits: Option<(u32, Duration)>,
    /// Whether it opens its port.
    pub(crate) listens: bool,
    /// What it answers there.
    pub(crate) status: u16,
    /// What it answers after this time.
    pub(crate) then: Option<(Duration, u16)>,
    pub(crate) ignores_term: bool,
}

impl Behaviour {
    pub(crate) const HEALTHY: Self = Self { exits: None, listens: true, status: 200, then: None, ignores_term: false };

    /// Reads what the bytes of a program say.
    pub(crate) fn of(program: &[u8]) -> Self {
        let text = std::str::from_utf8(program).expect("a program of the simulated world is text");
        let line = text.lines().find_map(|line| line.strip_prefix(MARK)).expect("the program says how it behaves");
        line.split(", ").fold(Self::HEALTHY, |all, part| all.and(&part.split(' ').collect::<Vec<_>>()))
    }

    fn and(self, words: &[&str]) -> Self {
        let time = |word: &str| Duration::from_millis(number(word.strip_suffix("ms").expect("a time in ms")));
        match words {
            ["healthy"] => self,
            ["healthy", "for", after, "then", status] => Self { then: Some((time(after), number(status))), ..self },
            ["exits", code, "after", after] => Self { exits: Some((number(code), time(after))), ..self },
            ["answers", status] => Self { status: number(status), ..self },
            ["never", "listens"] => Self { listens: false, ..self },
            ["ignores", "TERM"] => Self { ignores_term: true, ..self },
            other => panic!("no program behaves like {other:?}"),
        }
    }

    /// What it answers when it has run for so long.
    pub(crate) fn status_after(self, age: Duration) -> u16 {
        self.then.filter(|(after, _)| age >= *after).map_or(self.status, |(_, status)| status)
    }
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(word: &str) -> T {
    word.parse().expect("a number")
}
