//! What a bill says in words.

use api::billing::{LineKind, reading};
use types::{Amount, Host, Money};

/// The name of a line on its account's bills; the same from day to day.
pub(crate) fn line_name(host: &Host, kind: LineKind, name: &str) -> String {
    let kind = match kind {
        LineKind::Plan => "plan",
        LineKind::Size => "size",
        LineKind::Module => "module",
        LineKind::Meter => "meter",
        LineKind::Jobs => "jobs",
    };
    format!("{host}.{kind}.{name}")
}

/// Milliseconds as seconds, exactly.
pub(crate) fn in_job_seconds(milliseconds: u64) -> Amount {
    Amount::fraction(milliseconds.into(), 1000).unwrap_or_else(|_| Amount::zero())
}

/// `bytes_out` as `bytes out`.
pub(super) fn plain(name: &str) -> String {
    name.replace(['_', '-'], " ")
}

/// A number of seconds as `3 days 4 hours`.
pub(super) fn spell(seconds: i64) -> String {
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let there = parts.into_iter().filter(|(number, _)| *number > 0);
    let words: Vec<String> = there
        .map(|(number, unit)| format!("{number} {unit}{}", if number == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() { "no time".to_owned() } else { words.join(" ") }
}

/// How `exact` became `money`.
pub(crate) fn rounding(exact: Amount, money: Money) -> String {
    let (rounded, currency) = (Amount::of(money), money.currency);
    if rounded == exact {
        return "nothing was rounded".to_owned();
    }
    let about = if exact.rounded(6) == Some(exact) { "" } else { "about " };
    let way = if rounded < exact { "down" } else { "up" };
    let exact = reading::money(exact, currency);
    format!("{about}{exact} {currency} is rounded {way} to {money}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::select};

    const KINDS: [LineKind; 5] =
        [LineKind::Plan, LineKind::Size, LineKind::Module, LineKind::Meter, LineKind::Jobs];

    proptest! {
        #[test]
        fn lines_of_different_things_are_named_differently(
            // Hosts whose labels could be taken for a line's kind and name.
            hosts in ["(plan|meter)(\\.(plan|meter)){0,4}", "(plan|meter)(\\.(plan|meter)){0,4}"],
            kinds in [select(&KINDS[..]), select(&KINDS[..])],
            names in ["plan|meter", "plan|meter"],
        ) {
            let line = |place: usize| {
                line_name(&hosts[place].parse().unwrap(), kinds[place], &names[place])
            };
            let alike = hosts[0] == hosts[1] && kinds[0] == kinds[1] && names[0] == names[1];
            prop_assert_eq!(line(0) == line(1), alike);
        }
    }

    #[test]
    fn time_is_spelled() {
        let cases = [(0, "no time"), (1, "1 second"), (90_061, "1 day 1 hour 1 minute 1 second")];
        for (seconds, words) in
            cases.into_iter().chain([(2_592_000, "30 days"), (7_200, "2 hours")])
        {
            assert_eq!(spell(seconds), words);
        }
    }

    #[test]
    fn the_rounding_says_which_way_it_went() {
        let currency = "USD".parse().unwrap();
        let exact: Amount = "10.275".parse().unwrap();
        let said = |exact: Amount| rounding(exact, exact.round(currency).unwrap());
        assert_eq!(said(exact), "10.275 USD is rounded up to 10.28 USD");
        assert_eq!(said(Amount::whole(9)), "nothing was rounded");
        let exact = Amount::fraction(3_481, 300_000).unwrap();
        assert_eq!(said(exact), "about 0.011603 USD is rounded down to 0.01 USD");
    }
}
