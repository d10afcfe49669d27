//! What was measured, told line by line as JSON, and the table that comes of it.

use std::fmt::Write as _;

/// Figures in the order in which they were told first.
#[derive(Default)]
pub(crate) struct Figures(Vec<Figure>);

struct Figure {
    who: String,
    what: String,
    unit: String,
    values: Vec<f64>,
    /// The figure that this one was measured beside, if that is not the table's.
    beside: Option<f64>,
}

impl Figure {
    /// The value in the middle.
    fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn least_and_most(&self) -> (f64, f64) {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        (least, self.values.iter().copied().fold(0.0, f64::max))
    }
}

impl Figures {
    /// Takes note of `{"who":"…","what":"…","value":1.0,"unit":"…"}`; other lines are chatter.
    pub(crate) fn read(&mut self, line: &str) {
        let Ok(told) = serde_json::from_str::<serde_json::Value>(line) else { return };
        let text = |key: &str| told.get(key).and_then(|text| text.as_str()).map(str::to_owned);
        let value = told.get("value").and_then(serde_json::Value::as_f64);
        let (Some(who), Some(what), Some(unit)) = (text("who"), text("what"), text("unit")) else {
            return;
        };
        let Some(value) = value else { return };
        let known = self.0.iter_mut().find(|known| known.who == who && known.what == what);
        match known {
            Some(known) => known.values.push(value),
            None => self.0.push(Figure { who, what, unit, values: vec![value], beside: None }),
        }
    }

    /// Takes over what ends in `with`, each beside what is called the same without it.
    pub(crate) fn add_beside(&mut self, others: Self, with: &str) {
        let without = |figure: &Figure| {
            let plain = figure.what.strip_suffix(with)?;
            let mut all = others.0.iter();
            Some(all.find(|other| other.who == figure.who && other.what == plain)?.median())
        };
        let beside: Vec<Option<f64>> = others.0.iter().map(without).collect();
        let told = others.0.into_iter().zip(beside);
        let new = |known: &[Figure], figure: &Figure| {
            !known.iter().any(|known| known.who == figure.who && known.what == figure.what)
        };
        for (figure, beside) in told {
            if new(&self.0, &figure) {
                self.0.push(Figure { beside, ..figure });
            }
        }
    }

    /// One line for each: the median, the least and the most, and how much that is of what `whom`
    /// does in the same matter, or of the same without what makes it harder.
    pub(crate) fn table(&self, whom: &str) -> String {
        let mut table = String::new();
        let mut sorted: Vec<&Figure> = self.0.iter().collect();
        sorted.sort_by(|one, other| one.what.cmp(&other.what));
        let mut section = "";
        for figure in sorted {
            if figure.what != section {
                let _ = writeln!(table, "{} ({})", figure.what, figure.unit);
                section = &figure.what;
            }
            let (least, most) = figure.least_and_most();
            let (spread, median) = (format!("{} – {}", short(least), short(most)), figure.median());
            let bare = |other: &&Figure| other.who == whom && other.what == "claim and complete";
            let bare = self.0.iter().find(bare).filter(|_| figure.unit == "jobs/s");
            let ratio = match (figure.beside, bare) {
                (Some(beside), _) => format!("{:.2} of that with none", median / beside),
                (None, Some(bare)) => format!("{:.2} of the bare one", median / bare.median()),
                (None, None) => String::new(),
            };
            let who = &figure.who;
            let line = format!("  {who:<24}{:>10}{spread:>20}  {ratio}", short(median));
            let _ = writeln!(table, "{}", line.trim_end());
        }
        table
    }
}

fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(who: &str, what: &str, value: f64) -> String {
        serde_json::json!({ "who": who, "what": what, "value": value, "unit": "jobs/s" })
            .to_string()
    }

    #[test]
    fn the_median_of_the_rounds_is_compared() {
        let mut figures = Figures::default();
        figures.read("npm says hello");
        for value in [90.0, 200.0, 100.0] {
            figures.read(&told("bare", "claim and complete", value));
            figures.read(&told("ours", "claim and complete", value / 2.0));
        }
        let table = figures.table("bare");
        assert!(table.contains("ours"), "{table}");
        assert!(table.contains("50.0          45.0 – 100  0.50 of the bare one"), "{table}");
    }

    #[test]
    fn what_is_harder_is_compared_with_the_same_run() {
        let (mut figures, mut alone) = (Figures::default(), Figures::default());
        figures.read(&told("ours", "claim", 1_000.0));
        alone.read(&told("ours", "claim", 100.0));
        alone.read(&told("ours", "claim, many waiting", 80.0));
        figures.add_beside(alone, ", many waiting");
        let table = figures.table("nobody");
        assert!(table.contains("0.80 of that with none"), "{table}");
    }
}
