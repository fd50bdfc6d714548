//! Sizes, time spans and shares of a processor, as people write them.
//!
//! The time spans are those of systemd.time(7) up to weeks. Sizes count in 1024 as systemd's do, but unlike
//! systemd nothing is ever taken for "no limit": what is not understood is refused.

use std::time::Duration;

/// Longest time span; far below what overflows when it is added to a clock.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Ten thousand cores: more than there are, and less than what systemd takes for no limit.
const MOST_PERCENT: u32 = 1_000_000;

/// What is wrong with a quantity and how to write it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: String,
}

fn wrong<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), help: help.into() })
}

/// Pattern of what [`size`] takes.
pub(super) const SIZE: &str = r"^[0-9]+(\.[0-9]+)? *[KMGTkmgt]([Ii][Bb])?$";

/// Reads bytes: a number with K, M, G or T, base 1024.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let help = "write a number with K, M, G or T, such as \"512M\" or \"1.5G\"; they count in 1024";
    let Some((number, rest)) = number(text) else {
        return wrong(format!("{text:?} is no size"), help);
    };
    let unit = rest.trim_start_matches(' ').to_ascii_lowercase();
    let (letter, rest) = match unit.chars().next() {
        None => return wrong(format!("{text:?} has no unit"), help),
        Some(letter) => (letter, &unit[letter.len_utf8()..]),
    };
    let Some(power) = "kmgt".find(letter) else {
        return wrong(format!("{text:?} is no size"), help);
    };
    match rest {
        "" | "ib" => {}
        "b" => {
            let letter = letter.to_ascii_uppercase();
            return wrong(
                format!("{text:?} does not say whether it counts in 1000 or in 1024"),
                format!("write \"{}{letter}\", which counts in 1024", number.text),
            );
        }
        _ => return wrong(format!("{text:?} is no size"), help),
    }
    match number.times(1 << (10 * (power + 1))) {
        Some(0) => wrong(format!("{text:?} is no room at all"), "leave the key out for no limit"),
        Some(bytes) => Ok(bytes),
        None => wrong(format!("{text:?} is more than a machine can have"), help),
    }
}

/// Pattern of what [`percent`] takes.
pub(super) const PERCENT: &str = r"^0*[1-9][0-9]*%$";

/// Reads hundredths of a core: a whole number with `%`.
pub(super) fn percent(text: &str) -> Result<u32, Wrong> {
    let help = "write whole percent of one core, such as \"150%\" for one and a half";
    let Some((number, rest)) = number(text) else {
        return wrong(format!("{text:?} is no share of a processor"), help);
    };
    match (rest, number.whole.parse::<u32>()) {
        ("%", Ok(0)) if number.fraction.is_empty() => {
            wrong(format!("{text:?} lets nothing run"), "leave the key out for no limit")
        }
        ("%", Ok(percent)) if number.fraction.is_empty() && percent <= MOST_PERCENT => Ok(percent),
        ("", _) => match number.times(100).filter(|&percent| percent > 0) {
            Some(percent) => wrong(
                format!("{text:?} is no share of a processor"),
                format!("write \"{percent}%\" for {text} cores; 100% is one core"),
            ),
            None => wrong(format!("{text:?} is no share of a processor"), help),
        },
        _ => wrong(format!("{text:?} is no share of a processor"), help),
    }
}

/// Pattern of what [`time_span`] takes.
pub(super) const TIME_SPAN: &str = concat!(
    r"^( *[0-9]+(\.[0-9]+)? *(nsec|ns|usec|us|µs|msec|ms|seconds|second|sec|s|minutes|minute|min|m",
    r"|hours|hour|hr|h|days|day|d|weeks|week|w)?)+ *$"
);

/// Reads a time span: numbers with units that add up; a number without unit counts seconds.
pub(super) fn time_span(text: &str) -> Result<Duration, Wrong> {
    let help = "write a time span such as \"500ms\", \"90s\" or \"1min 30s\"";
    let mut rest = text.trim_matches(' ');
    if rest.starts_with('-') {
        return wrong(format!("{text:?} is a negative time span"), help);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let Some((number, after)) = number(rest) else {
            return wrong(format!("{text:?} is no time span"), help);
        };
        let after = after.trim_start_matches(' ');
        let end = after.find(|c: char| c == ' ' || c.is_ascii_digit()).unwrap_or(after.len());
        let Some(unit) = unit(&after[..end]) else {
            return wrong(format!("{:?} is no unit of time", &after[..end]), help);
        };
        let Some(sum) = number.times(unit).map(Duration::from_nanos).and_then(|span| total.checked_add(span)) else {
            return too_long(text);
        };
        total = sum;
        rest = after[end..].trim_start_matches(' ');
    }
    match total {
        _ if text.trim().is_empty() => wrong("the time span is empty", help),
        total if total > LONGEST => too_long(text),
        total => Ok(total),
    }
}

/// Reads a time span that was written as a plain number of seconds.
pub(super) fn seconds(number: u64) -> Result<Duration, Wrong> {
    let span = Duration::from_secs(number);
    if span > LONGEST { too_long(&number.to_string()) } else { Ok(span) }
}

fn too_long<T>(text: &str) -> Result<T, Wrong> {
    wrong(format!("{text:?} is longer than a year"), "write a time span of at most 366 days")
}

/// Returns the nanoseconds of a unit.
fn unit(name: &str) -> Option<u64> {
    const SECOND: u64 = 1_000_000_000;
    Some(match name {
        "nsec" | "ns" => 1,
        "usec" | "us" | "µs" => 1_000,
        "msec" | "ms" => 1_000_000,
        "" | "seconds" | "second" | "sec" | "s" => SECOND,
        "minutes" | "minute" | "min" | "m" => 60 * SECOND,
        "hours" | "hour" | "hr" | "h" => 3_600 * SECOND,
        "days" | "day" | "d" => 86_400 * SECOND,
        "weeks" | "week" | "w" => 604_800 * SECOND,
        _ => return None,
    })
}

/// A decimal number as written.
struct Number<'a> {
    text: &'a str,
    whole: &'a str,
    fraction: &'a str,
}

/// Splits a decimal number off the start.
fn number(text: &str) -> Option<(Number<'_>, &str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at(digits(text));
    if whole.is_empty() {
        return None;
    }
    let Some(after) = rest.strip_prefix('.') else {
        return Some((Number { text: whole, whole, fraction: "" }, rest));
    };
    let (fraction, after) = after.split_at(digits(after));
    let length = whole.len() + 1 + fraction.len();
    (!fraction.is_empty()).then_some((Number { text: &text[..length], whole, fraction }, after))
}

impl Number<'_> {
    /// Multiplies exactly, rounding down; `None` where the product does not fit.
    fn times(&self, factor: u64) -> Option<u64> {
        let whole = self.whole.parse::<u64>().ok()?.checked_mul(factor)?;
        let mut part = u128::from(factor);
        let mut sum = 0u128;
        // Digits beyond the nineteenth are worth less than one for every factor that there is.
        let digits = self.fraction.bytes().take(19);
        let scale = 10u128.pow(u32::try_from(digits.len()).ok()?);
        for digit in digits {
            sum = sum * 10 + u128::from(digit - b'0');
        }
        part = part * sum / scale;
        whole.checked_add(u64::try_from(part).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_count_in_1024_whatever_the_case() {
        for (text, bytes) in [
            ("4G", 4 << 30),
            ("4g", 4 << 30),
            ("4GiB", 4 << 30),
            ("4 G", 4 << 30),
            ("512M", 512 << 20),
            ("1.5G", 3 << 29),
            ("0.5k", 512),
            ("1T", 1 << 40),
            ("0.99999999999999999999999999K", 1023),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_size_that_could_mean_two_things_is_refused() {
        let wrong = size("4GB").unwrap_err();
        assert_eq!(wrong.message, "\"4GB\" does not say whether it counts in 1000 or in 1024");
        assert_eq!(wrong.help, "write \"4G\", which counts in 1024");
        for bad in ["", "4", "-4G", "4X", "G", "50%", "0M", "4Gi", "1.G", ".5G", "4GG", "20000000T", "4\u{a0}G", "4é"]
        {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn processors_are_whole_percent() {
        assert_eq!(percent("200%"), Ok(200));
        assert_eq!(percent("5%"), Ok(5));
        assert!(percent("1.5").unwrap_err().help.starts_with("write \"150%\""));
        assert!(percent("2").unwrap_err().help.starts_with("write \"200%\""));
        for bad in ["", "0%", "12.5%", "-5%", "max", "99999999999%", "5 %", "0", "0.001"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn time_spans_are_those_of_systemd() {
        for (text, span) in [
            ("0", Duration::ZERO),
            ("5", Duration::from_secs(5)),
            ("500ms", Duration::from_millis(500)),
            ("1min 30s", Duration::from_secs(90)),
            ("2h30m", Duration::from_mins(150)),
            (" 1 min 30 ", Duration::from_secs(90)),
            ("1.5s", Duration::from_millis(1500)),
            ("3 µs", Duration::from_micros(3)),
            ("2 weeks", Duration::from_hours(336)),
        ] {
            assert_eq!(time_span(text), Ok(span), "{text}");
        }
        for bad in ["", " ", "-1s", "1 fortnight", "s", "1M", "1y", "infinity", "1..5s", "1s,2s", "500d", "1e3s"] {
            assert!(time_span(bad).is_err(), "{bad}");
        }
        assert!(time_span("99999999999999999999s").unwrap_err().message.contains("longer than a year"));
    }
}
