//! Lines for time: plans, sizes and modules.

use std::collections::BTreeMap;

use api::{
    billing::{LineKind, LineUsage},
    prices::{Plan, PriceBook},
};
use types::{Amount, MoneyError, Timestamp};

use super::{
    Rated, Source, Terms,
    bill::{Desk, Draft, part},
    meters::Portion,
    timeline::{self, Run, clip, second_of, start_of},
    words::spell,
};

impl<'a> Desk<'a> {
    /// Adds the lines of one kind, each with everything that was had under its name.
    pub(super) fn time_lines(
        &self,
        kind: LineKind,
        lines: &mut Vec<Rated>,
    ) -> Result<(), MoneyError> {
        let runs = timeline::runs(self.taken, self.facts.until, |terms| names(kind, terms));
        for (name, mut runs) in runs {
            let mut spans = Vec::new();
            for run in &mut runs {
                let had = run.ends();
                run.last_at_least(self.least(kind, name, run));
                spans.extend(self.span(kind, name, run, had)?);
            }
            spans.reverse();
            lines.extend(self.time_line(kind, name, &runs, spans)?);
        }
        Ok(())
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

    fn span(
        &self,
        kind: LineKind,
        name: &str,
        run: &Run<'_>,
        had: i64,
    ) -> Result<Option<LineUsage>, MoneyError> {
        let (starts, ends) = clip(self.facts.period, run.starts(), run.ends());
        if starts >= ends {
            return Ok(None);
        }
        let mut note = spell(ends - starts);
        if run.ends() > had {
            let (lasted, least) = (spell(had - run.starts()), spell(run.ends() - run.starts()));
            note = format!("{note}; it lasted {lasted}, and a stay counts at least {least}");
        }
        Ok(Some(LineUsage {
            event: format!("{name} from {}", start_of(run.starts())),
            at: start_of(starts),
            until: Some(start_of(ends)),
            quantity: Amount::fraction((ends - starts).into(), self.unit_seconds(kind).into())?,
            note,
        }))
    }

    fn time_line(
        &self,
        kind: LineKind,
        name: &str,
        runs: &[Run<'a>],
        spans: Vec<LineUsage>,
    ) -> Result<Option<Rated>, MoneyError> {
        let mut shares: BTreeMap<(Timestamp, &str), (&PriceBook, i64)> = BTreeMap::new();
        for slice in runs.iter().flat_map(|run| run.slices(self.facts.period, self.prices)) {
            let key = (slice.book.effective, slice.plan);
            shares.entry(key).or_insert((slice.book, 0)).1 += slice.seconds;
        }
        if shares.is_empty() {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for ((_, plan), (book, seconds)) in shares {
            let price = book.plans.get(plan).and_then(|plan| time_price(kind, plan, name));
            let quantity = Amount::fraction(seconds.into(), self.unit_seconds(kind).into())?;
            let note = self.time_note(kind, plan, seconds);
            parts.push(part(
                Portion { note, quantity, price: price.unwrap_or(Amount::zero()) },
                book,
                price.is_some(),
            )?);
        }
        let title = match kind {
            LineKind::Plan => format!("Plan {}", self.plan_title(name)),
            LineKind::Size => format!("Size {}", self.title_of(kind, name)),
            _ => format!("Module {}", self.title_of(kind, name)),
        };
        let unit = if kind == LineKind::Size { "hours" } else { "months" }.to_owned();
        let quantity =
            parts.iter().try_fold(Amount::zero(), |sum, part| sum.plus(part.quantity))?;
        let source = Source::Spans(spans);
        self.line(Draft { kind, name, title, quantity, unit, parts, source }).map(Some)
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
