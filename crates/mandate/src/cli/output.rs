//! What is printed: tables without borders, records, moments and numbers for people.

use std::{fmt::Display, io, io::Write as _};

use comfy_table::{CellAlignment, ContentArrangement, presets};
use serde::Serialize;
use types::{AccountId, Amount, Timestamp};

use super::{Failure, Outcome, status};

/// Options of every list.
#[derive(Debug, clap::Args)]
pub(crate) struct Limit {
    /// Show at most so many
    #[arg(long, value_name = "N", default_value = "100")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: Option<u32>,
}

/// The option of everything that is an account's.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Whose {
    /// Of this account; your own if absent
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<AccountId>,
}

/// Prints text for people and a line's end.
pub(crate) fn print(text: &str) -> Outcome {
    print_raw(&clean(text))
}

/// Prints text as it is and a line's end. If nobody reads any more, the command is done.
pub(crate) fn print_raw(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
    written.and_then(|()| out.flush()).map_err(|cause| match cause.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(0),
        _ => Failure::new(status::UNEXPECTED, format!("cannot write to standard output: {cause}")),
    })
}

/// Text of strangers, fit for a terminal: nothing in it can move the cursor or turn the text.
pub(crate) fn clean(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' => c,
        '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
        c if c.is_control() => '?',
        c => c,
    };
    text.replace("\r\n", "\n").chars().map(harmless).collect()
}

/// A table without borders, its columns two spaces apart.
pub(crate) struct Table {
    rows: comfy_table::Table,
    sections: Vec<String>,
}

/// Stands in the rows where a section begins. No cell has it, since each is cleaned.
const SECTION: &str = "\u{1}";

impl Table {
    /// An empty table. A heading that begins with `>` makes its column right-aligned.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let mut rows = plain(width());
        rows.set_header(headings.iter().map(|heading| heading.trim_start_matches('>')));
        for (place, heading) in headings.iter().enumerate() {
            if let Some(column) = rows.column_mut(place) {
                column.set_padding((0, 2));
                if heading.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self { rows, sections: Vec::new() }
    }

    /// One row more.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&dyn Display; N]) {
        self.rows.add_row(cells.map(|cell| clean(&cell.to_string())));
    }

    /// Begins a section: an empty line and a heading, which may be wider than any column.
    pub(crate) fn section(&mut self, heading: &str) {
        self.rows.add_row([SECTION]);
        self.sections.push(format!("\n{}", clean(heading)));
    }

    /// A table of `items`, a row for each.
    pub(crate) fn of<T>(
        headings: &[&str],
        items: impl IntoIterator<Item = T>,
        row: impl Fn(&mut Self, T),
    ) -> String {
        let mut table = Self::new(headings);
        items.into_iter().for_each(|item| row(&mut table, item));
        table.text()
    }

    /// The table as text, without spaces at the ends of its lines.
    pub(crate) fn text(&self) -> String {
        let mut sections = self.sections.iter();
        let lines = self.rows.lines().map(|line| match line.trim_end() {
            SECTION => sections.next().cloned().unwrap_or_default(),
            row => row.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Names and values, a line for each; those without a value are left out.
pub(crate) fn record(fields: &[(&str, Option<String>)]) -> String {
    let mut table = plain(width());
    for (name, value) in fields {
        if let Some(value) = value {
            table.add_row([(*name).to_owned(), clean(value)]);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn plain(width: Option<u16>) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

/// How wide the terminal is; what is piped is not cut to any width.
fn width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// So many instances.
pub(crate) fn counted(instances: u32) -> String {
    let end = if instances == 1 { "" } else { "s" };
    format!("{instances} instance{end}")
}

/// A moment for people, to the second.
pub(crate) fn moment(moment: Timestamp) -> String {
    let text = moment.to_string();
    match (text.get(..10), text.get(10..11), text.get(11..19)) {
        (Some(day), Some("T"), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// The day of a moment.
pub(crate) fn day(moment: Timestamp) -> String {
    moment.to_string().chars().take(10).collect()
}

/// An exact number for people: as a decimal, and where that has no end, to six places.
pub(crate) fn number(amount: Amount) -> String {
    let exact = amount.to_string();
    rounded(&exact).unwrap_or(exact)
}

/// Six decimals of a fraction, halves away from zero; `None` if the text is none, or too large.
fn rounded(fraction: &str) -> Option<String> {
    let (numerator, denominator) = fraction.split_once('/')?;
    let (numerator, denominator): (i128, i128) =
        (numerator.parse().ok()?, denominator.parse().ok()?);
    let doubled = numerator.unsigned_abs().checked_mul(2_000_000)?;
    let denominator = denominator.unsigned_abs();
    let digits = doubled.checked_add(denominator)? / denominator.checked_mul(2)?;
    let sign = if numerator < 0 { "-" } else { "" };
    Some(format!("≈{sign}{}.{:06}", digits / 1_000_000, digits % 1_000_000))
}

/// A state or phase as it is written in JSON, with spaces.
pub(crate) fn word(state: &impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(text)) => text.replace('_', " "),
        _ => String::new(),
    }
}

/// Names in a row, `–` if there are none.
pub(crate) fn names<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_end_is_shown_to_six_places() {
        let shown = |text: &str| number(text.parse().unwrap());
        assert_eq!(shown("0.0125"), "0.0125");
        assert_eq!(shown("2/3"), "≈0.666667");
        assert_eq!(shown("-1/3"), "≈-0.333333");
        assert_eq!(shown(&format!("{}/3", i128::MAX)), format!("{}/3", i128::MAX));
    }

    #[test]
    fn a_moment_is_shown_to_the_second() {
        assert_eq!(
            moment("2026-12-01T12:00:05.123456Z".parse().unwrap()),
            "2026-12-01 12:00:05 UTC"
        );
        let far = Timestamp::from_micros(i64::MAX);
        assert_eq!(moment(far), far.to_string());
    }

    #[test]
    fn nothing_that_a_stranger_writes_moves_the_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c\r\nd\te"), "a?[2Jb?c\nd e");
    }

    #[test]
    fn a_section_has_a_heading_that_widens_no_column() {
        let mut table = Table::new(&["LINE", ">AMOUNT"]);
        table.section("a heading that is wider than the table");
        table.row([&"bread", &"1.00"]);
        table.section("\u{1}");
        table.row([&"\u{1}", &"20.00"]);
        assert_eq!(
            table.text(),
            "LINE   AMOUNT\n\na heading that is wider than the table\nbread    1.00\n\n?\n?       20.00"
        );
    }

    #[test]
    fn a_narrow_terminal_wraps_and_a_pipe_does_not() {
        let long = "a sentence that is longer than the terminal is wide";
        let lines = |width| {
            let mut table = plain(width);
            table.add_row(["name", long]);
            table.trim_fmt().lines().map(|line| line.chars().count()).collect::<Vec<_>>()
        };
        assert_eq!(lines(None).len(), 1);
        assert!(lines(Some(30)).len() > 1 && lines(Some(30)).iter().all(|length| *length <= 30));
    }
}
