//! Lines for time: plans, sizes and modules.

use std::collections::BTreeMap;

use api::{
    billing::{LineKind, LineUsage},
    prices::{Plan, PriceBook},
};
use types::{Amount, Timestamp};

use super::{
    Rated, Source, Terms,
    bill::{Draft, Rating, part},
    meters::Portion,
    timeline::{self, Run, clip, second_of, start_of},
    words::spell,
};

impl<'a> Rating<'a> {
    /// Adds the lines of one kind, each with everything that was had under its name.
    pub(super) fn time_lines(&self, kind: LineKind, lines: &mut Vec<Rated>) {
        let runs = timeline::runs(self.taken, self.facts.until, |terms| names(kind, terms));
        for (name, mut runs) in runs {
            let mut spans = Vec::new();
            for run in &mut runs {
                let had = run.ends();
                run.last_at_least(self.least(kind, name, run));
                spans.extend(self.span(kind, name, run, had));
            }
            spans.reverse();
            lines.extend(self.time_line(kind, name, &runs, spans));
        }
    }

    /// The least that a stay is billed for, as the prices say that held when it began.
    fn least(&self, kind: LineKind, size: &str, run: &Run<'_>) -> i64 {
        let began = run.pieces.first().filter(|_| kind == LineKind::Size);
        let price = began.and_then(|piece| {
            let plan = self.prices.at(start_of(piece.starts))?.plans.get(piece.plan)?;
            plan.sizes.get(size)
        });
        price.map_or(0, |price| i64::try_from(price.minimum_seconds).unwrap_or(i64::MAX))
    }

    fn span(&self, kind: LineKind, name: &str, run: &Run<'_>, had: i64) -> Option<LineUsage> {
        let (starts, ends) = clip(self.facts.period, run.starts(), run.ends());
        if starts >= ends {
            return None;
        }
        let mut note = spell(ends - starts);
        if run.ends() > had {
            let (lasted, least) = (spell(had - run.starts()), spell(run.ends() - run.starts()));
            note = format!("{note}; it lasted {lasted}, and at least {least} is billed");
        }
        Some(LineUsage {
            event: format!("{name} from {}", start_of(run.starts())),
            at: start_of(starts),
            until: Some(start_of(ends)),
            quantity: self.in_units(kind, ends - starts),
            note,
        })
    }

    fn time_line(
        &self,
        kind: LineKind,
        name: &str,
        runs: &[Run<'a>],
        spans: Vec<LineUsage>,
    ) -> Option<Rated> {
        let mut shares: BTreeMap<(Timestamp, &str), (&PriceBook, i64)> = BTreeMap::new();
        for slice in runs.iter().flat_map(|run| run.slices(self.facts.period, self.prices)) {
            let key = (slice.book.effective, slice.plan);
            shares.entry(key).or_insert((slice.book, 0)).1 += slice.seconds;
        }
        if shares.is_empty() {
            return None;
        }
        let part_of = |((_, plan), (book, seconds)): ((_, &str), (&PriceBook, i64))| {
            let price = book.plans.get(plan).and_then(|plan| time_price(kind, plan, name));
            let quantity = self.in_units(kind, seconds);
            let note = self.time_note(kind, plan, seconds);
            let portion = Portion { note, quantity, price: price.unwrap_or(Amount::zero()) };
            part(portion, book, price.is_some())
        };
        let parts = shares.into_iter().map(part_of).collect::<Result<Vec<_>, _>>();
        let sum = parts.and_then(|parts| {
            let quantities = parts.iter().map(|part| part.quantity);
            let quantity = quantities.into_iter().try_fold(Amount::zero(), Amount::plus)?;
            Ok((quantity, parts))
        });
        let title = match kind {
            LineKind::Plan => format!("Plan {}", self.plan_title(name)),
            LineKind::Size => format!("Size {}", self.title_of(kind, name)),
            _ => format!("Module {}", self.title_of(kind, name)),
        };
        let unit = if kind == LineKind::Size { "hours" } else { "months" }.to_owned();
        let source = Source::Spans(spans);
        Some(self.line(Draft { kind, name, title, unit, source, sum }))
    }

    fn time_note(&self, kind: LineKind, plan: &str, seconds: i64) -> String {
        let time = spell(seconds);
        let month = spell(self.unit_seconds(LineKind::Plan));
        let title = self.plan_title(plan);
        match kind {
            LineKind::Plan => format!("{time} of {month}"),
            LineKind::Size => format!("{time} on plan {title}"),
            _ => format!("{time} of {month} on plan {title}"),
        }
    }

    /// So many seconds, as hours or as a part of the month.
    fn in_units(&self, kind: LineKind, seconds: i64) -> Amount {
        // Neither denominator is zero, which is all that could be wrong.
        let units = Amount::fraction(seconds.into(), self.unit_seconds(kind).into());
        units.unwrap_or_else(|_| Amount::zero())
    }

    /// What the price of a kind is for: an hour or the month.
    fn unit_seconds(&self, kind: LineKind) -> i64 {
        let period = self.facts.period;
        let month = second_of(period.ends()) - second_of(period.starts());
        if kind == LineKind::Size { 3_600 } else { month.max(1) }
    }
}

fn names(kind: LineKind, terms: &Terms) -> Vec<&str> {
    match kind {
        LineKind::Plan => vec![&terms.plan],
        LineKind::Size => vec![&terms.size],
        _ => terms.modules.iter().map(String::as_str).collect(),
    }
}

fn time_price(kind: LineKind, plan: &Plan, name: &str) -> Option<Amount> {
    match kind {
        LineKind::Plan => Some(plan.monthly),
        LineKind::Size => plan.sizes.get(name).map(|price| price.per_hour),
        _ => plan.modules.get(name).map(|price| price.monthly),
    }
}
