//! Lines for usage: meters and jobs.

use api::{
    billing::{LineKind, LinePart},
    prices::PriceBook,
};
use types::{Amount, MoneyError};

use super::{
    Rated, Source, UsageSum,
    bill::{Draft, Rating, part},
    meters::{self, Portion},
};

/// Jobs are metered in milliseconds and priced by the second.
const MILLIS: i128 = 1000;

/// A stretch of hours that are rated alike: the month's units from the one after `from` to `to`.
struct Stretch<'a> {
    plan: &'a str,
    book: &'a PriceBook,
    from: i128,
    to: i128,
}

impl<'a> Rating<'a> {
    /// A line of what was used of a meter or by jobs, from its sums in any order.
    pub(super) fn usage_line(&self, kind: LineKind, meter: &str, sums: Vec<&UsageSum>) -> Rated {
        let stretches = self.stretches(sums);
        let source = Source::Events { meter: meter.to_owned() };
        if kind == LineKind::Jobs {
            let (title, unit) = ("Background jobs".to_owned(), "seconds".to_owned());
            let sum = self.job_sum(&stretches);
            return self.line(Draft { kind, name: "time", title, unit, source, sum });
        }
        let (title, unit) = (self.title_of(kind, meter), self.unit_of(meter));
        let sum = meter_sum(meter, &unit, &stretches);
        self.line(Draft { kind, name: meter, title, unit, source, sum })
    }

    fn job_sum(&self, stretches: &[Stretch<'_>]) -> Result<(Amount, Vec<LinePart>), MoneyError> {
        let quantity = Amount::fraction(units(stretches), MILLIS)?;
        let parts = stretches.iter().map(|stretch| self.job_part(stretch));
        Ok((quantity, parts.collect::<Result<_, _>>()?))
    }

    fn job_part(&self, stretch: &Stretch<'_>) -> Result<LinePart, MoneyError> {
        let price = stretch.book.plans.get(stretch.plan).and_then(|plan| plan.jobs.as_ref());
        let quantity = Amount::fraction(stretch.to - stretch.from, MILLIS)?;
        let note = format!("time of jobs, on plan {}", self.plan_title(stretch.plan));
        let rate = price.map_or(Amount::zero(), |price| price.per_second);
        part(Portion { note, quantity, price: rate }, stretch.book, price.is_some())
    }

    /// The hours in their order; neighbours that are rated alike become one.
    fn stretches(&self, mut sums: Vec<&UsageSum>) -> Vec<Stretch<'a>> {
        sums.sort_by_key(|sum| sum.hour);
        let (mut stretches, mut count): (Vec<Stretch>, i128) = (Vec::new(), 0);
        for sum in sums {
            let (Some(terms), Some(book)) = (self.taken.at(sum.hour), self.prices.at(sum.hour))
            else {
                continue;
            };
            let from = count;
            count += i128::from(sum.quantity);
            match stretches.last_mut() {
                Some(last) if (last.plan, last.book.effective) == (&terms.plan, book.effective) => {
                    last.to = count;
                }
                _ => stretches.push(Stretch { plan: &terms.plan, book, from, to: count }),
            }
        }
        stretches
    }
}

/// How many units there are altogether.
fn units(stretches: &[Stretch<'_>]) -> i128 {
    stretches.last().map_or(0, |stretch| stretch.to)
}

fn meter_sum(
    meter: &str,
    unit: &str,
    stretches: &[Stretch<'_>],
) -> Result<(Amount, Vec<LinePart>), MoneyError> {
    let mut parts = Vec::new();
    for stretch in stretches {
        parts.extend(meter_parts(meter, unit, stretch)?);
    }
    Ok((Amount::whole(units(stretches)), parts))
}

fn meter_parts(
    meter: &str,
    unit: &str,
    stretch: &Stretch<'_>,
) -> Result<Vec<LinePart>, MoneyError> {
    let book = stretch.book;
    let rate = book.plans.get(stretch.plan).and_then(|plan| plan.meters.get(meter));
    let Some(rate) = rate else {
        let quantity = Amount::whole(stretch.to - stretch.from);
        return Ok(vec![part(
            Portion { note: unit.to_owned(), quantity, price: Amount::zero() },
            book,
            false,
        )?]);
    };
    let portions = meters::portions(rate, stretch.from, stretch.to, unit)?;
    portions.into_iter().map(|portion| part(portion, book, true)).collect()
}
