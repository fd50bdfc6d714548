//! The table of `status`.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

use crate::host::printable;
use crate::observe::UnitReport;

const UNITS: [(&str, u64); 4] = [("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];

const COLUMNS: [&str; 11] =
    ["HOST", "UNIT", "STATE", "HEALTH", "PID", "UP", "RESTARTS", "MEMORY", "CPU", "RELEASE", "FLAGS"];

/// The rows as a table, and under it every flag with its reason and the command that mends it, and every drop-in.
#[must_use]
pub fn status(rows: &[&UnitReport], width: Option<u16>) -> String {
    let mut text = lines(rows.iter().map(|row| cells(row)).collect(), width);
    for row in rows {
        for flag in &row.flags {
            text.push_str(&format_flag(row, flag));
        }
        if !row.drop_ins.is_empty() {
            let (unit, host) = (&row.unit, printable(row.host.as_bytes()));
            let files = printable(row.drop_ins.join(", ").as_bytes());
            writeln!(text, "drop-ins {unit} on {host}: {files}").ok();
        }
    }
    text
}

fn lines(rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let wide = grid(rows.clone());
    let fits = |width: &u16| wide.lines().all(|line| line.trim_end().chars().count() <= usize::from(*width));
    let table = match width.filter(|width| !fits(width)) {
        Some(width) => narrow(rows, width),
        None => wide,
    };
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn grid(rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(COLUMNS).add_rows(rows);
    table
}

/// Only hosts and states are broken: parts of names and numbers help nobody. Flags are counted, as they are told below.
fn narrow(mut rows: Vec<Vec<String>>, width: u16) -> Table {
    for flags in rows.iter_mut().filter_map(|row| row.last_mut()).filter(|flags| *flags != "-") {
        *flags = flags.split(' ').count().to_string();
    }
    let mut table = grid(rows);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    for (name, column) in COLUMNS.iter().zip(table.column_iter_mut()) {
        column.set_padding((0, 1));
        if !matches!(*name, "HOST" | "STATE") {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

fn cells(row: &UnitReport) -> Vec<String> {
    let dash = || "-".to_owned();
    let state = if row.installed { row.state.to_owned() } else { "not installed".to_owned() };
    let state = match &row.reason {
        Some(reason) => format!("{state} ({})", printable(reason.as_bytes())),
        None => state,
    };
    let flags: Vec<String> = row.flags.iter().map(|flag| flag.kind.to_string()).collect();
    vec![
        printable(row.host.as_bytes()),
        row.unit.clone(),
        state,
        row.health.map_or_else(dash, str::to_owned),
        row.pid.map_or_else(dash, |pid| pid.to_string()),
        row.since.map_or_else(dash, |since| age(row.now - since)),
        row.restarts.to_string(),
        row.memory_bytes.map_or_else(dash, size),
        row.cpu_percent.map_or_else(dash, |percent| format!("{percent:.1}%")),
        row.release.map_or_else(dash, |release| release.to_string()),
        if flags.is_empty() { dash() } else { flags.join(" ") },
    ]
}

fn format_flag(row: &UnitReport, flag: &crate::supervisor::Flag) -> String {
    let warning = Style::new().fg_color(Some(AnsiColor::Yellow.into()));
    let mend = flag.mend.as_ref().map(|mend| format!("\n    mend: {}", printable(mend.as_bytes()))).unwrap_or_default();
    format!(
        "{warning}{}{warning:#} {} on {}: {}{mend}\n",
        flag.kind,
        row.unit,
        printable(row.host.as_bytes()),
        printable(flag.reason.as_bytes()),
    )
}

/// Seconds as people say them: `42s`, `7m`, `3h 12m`, `9d 4h`.
#[must_use]
pub fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// Bytes with one digit after the point, base 1024 as everywhere here: `1.5G`.
#[must_use]
pub fn size(bytes: u64) -> String {
    for (unit, scale) in UNITS {
        if bytes >= scale {
            let tenths = bytes / (scale / 10).max(1);
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::{age, lines, size};

    #[test]
    fn ages_and_sizes_are_short() {
        assert_eq!([0, 59, 60, 3_600, 11_520, 792_000].map(age), ["0s", "59s", "1m", "1h 0m", "3h 12m", "9d 4h"]);
        assert_eq!([0, 1023, 1536, 5 << 20, 4 << 30].map(size), ["0B", "1023B", "1.5K", "5.0M", "4.0G"]);
    }

    #[test]
    fn a_narrow_table_breaks_no_names_and_no_numbers() {
        let row = |state: &str, flags: &str| {
            let row = ["gpu1", "llm-8080", state, "healthy", "4711", "3h 12m", "0", "1.2G", "3.1%", "12", flags];
            row.map(str::to_owned).to_vec()
        };
        let rows = || vec![row("running", "-"), row("failed (exit code 7)", "crash-looping old-binary")];
        insta::assert_snapshot!(lines(rows(), Some(80)), @r"
        HOST UNIT     STATE      HEALTH  PID  UP     RESTARTS MEMORY CPU  RELEASE FLAGS
        gpu1 llm-8080 running    healthy 4711 3h 12m 0        1.2G   3.1% 12      -
        gpu1 llm-8080 failed     healthy 4711 3h 12m 0        1.2G   3.1% 12      2
                      (exit code
                      7)
        ");
        assert_eq!(lines(rows(), Some(200)), lines(rows(), None));
        assert!(lines(rows(), None).starts_with(" HOST  UNIT      STATE "));
    }
}
