//! Numbers of several rounds, and the table they end up in.

use std::{fmt, time::Duration};

/// One number for each round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value below which `share` of the rounds lie.
    pub(crate) fn at(&self, share: f64) -> f64 {
        percentile(&mut self.0.clone(), share)
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// Tenth to ninetieth percentile.
    pub(crate) fn spread(&self) -> String {
        format!("{} – {}", short(self.at(0.1)), short(self.at(0.9)))
    }

    /// Round by round, how much of `other` this is.
    pub(crate) fn ratio_to(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect())
    }
}

/// The value below which `share` of `values` lie; 0 if there are none.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among some thousand values"
    )]
    let place = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or_default()
}

/// Three digits that count.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What was measured, in sections.
#[derive(Default)]
pub(crate) struct Table(Vec<Line>);

enum Line {
    Head(String, [String; 4]),
    Row(String, [String; 4]),
    Note(String),
}

impl Table {
    /// Begins a section.
    pub(crate) fn head(&mut self, what: &str, columns: [&str; 4]) {
        self.0.push(Line::Head(what.to_owned(), columns.map(str::to_owned)));
    }

    pub(crate) fn row(&mut self, what: impl Into<String>, cells: [String; 4]) {
        self.0.push(Line::Row(what.into(), cells));
    }

    /// A sentence about the section.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.0.push(Line::Note(text.into()));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            let (what, cells) = match line {
                Line::Note(text) => {
                    writeln!(f, "  {text}")?;
                    continue;
                }
                Line::Head(what, cells) => {
                    writeln!(f)?;
                    (what.clone(), cells)
                }
                Line::Row(what, cells) => (format!("  {what}"), cells),
            };
            let [value, spread, other, beside] = cells;
            let line = format!("{what:<52}{value:>10}{spread:>18}{other:>10}  {beside}");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
