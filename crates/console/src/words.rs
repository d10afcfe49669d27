//! Values as people read them.

use maud::{Markup, html};
use types::{Amount, Currency, Money, Timestamp};

/// A sentence as the platform writes it (lower case, no full stop, input in backticks) as one for
/// a page.
pub(crate) fn sentence(text: &str) -> Markup {
    let mut parts = text.split('`');
    let first = parts.next().unwrap_or("");
    let mut letters = first.chars();
    let begun: String =
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let stop = if text.ends_with(['.', '!', '?']) || text.is_empty() { "" } else { "." };
    html! {
        (begun)
        @for (place, part) in parts.enumerate() {
            @if place % 2 == 0 { code { (part) } } @else { (part) }
        }
        (stop)
    }
}

/// What a program printed, without the characters that only mean something to a terminal. What
/// begins with `own`, the address of the instance that it worked for, is a link.
pub(crate) fn printed(text: &str, own: Option<&str>) -> Markup {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' && characters.next_if_eq(&'[').is_some() {
            // An escape sequence ends with its first letter.
            while characters.next_if(|next| !next.is_ascii_alphabetic()).is_some() {}
            characters.next();
        } else if !character.is_control() || character == '\n' || character == '\t' {
            plain.push(character);
        }
    }
    if plain.trim().is_empty() {
        return html! { p.soft { "Nothing was printed." } };
    }
    // What is longer than its box is scrolled with the keyboard, too.
    html! { pre tabindex="0" { (linked(plain.trim_end(), own)) } }
}

fn linked(text: &str, own: Option<&str>) -> Markup {
    let own = own.map(|own| own.trim_end_matches('/')).filter(|own| !own.is_empty());
    let is_own = |word: &str| {
        let rest = own.and_then(|own| word.strip_prefix(own));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    html! {
        @for word in text.split_inclusive(char::is_whitespace) {
            @let address = word.trim_end();
            @if is_own(address) {
                a href=(address) target="_blank" rel="noopener noreferrer" { (address) }
                (word[address.len()..])
            } @else { (word) }
        }
    }
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    grouped(&number.to_string())
}

/// A number of things, of which `one` is one.
pub(crate) fn counted(count: u64, one: &str) -> String {
    format!("{} {one}{}", number(count), if count == 1 { "" } else { "s" })
}

fn grouped(decimal: &str) -> String {
    let (sign, digits) = decimal.strip_prefix('-').map_or(("", decimal), |rest| ("-", rest));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut text = sign.to_owned();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// `Basic, Small and Polls`.
pub(crate) fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// The name of one thing of a unit, which may be given in the plural or not.
pub(crate) fn one(unit: &str) -> &str {
    unit.strip_suffix('s').unwrap_or(unit)
}

/// Money on a bill, `1,234.50 USD`.
pub(crate) fn money(money: Money) -> String {
    let text = money.to_string();
    let (digits, currency) = text.split_once(' ').unwrap_or((&text, ""));
    format!("{} {currency}", grouped(digits))
}

/// A price, with at least as many decimals as its currency has: `0.0125 USD`, `9.00 USD`.
pub(crate) fn price(amount: Amount, currency: Currency) -> String {
    let (mut text, is_exact) = decimal(amount, 12);
    let places = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let wanted = usize::from(currency.exponent());
    if places < wanted {
        text.push_str(if places == 0 { "." } else { "" });
        text.extend(std::iter::repeat_n('0', wanted - places));
    }
    format!("{}{} {currency}", if is_exact { "" } else { "≈ " }, grouped(&text))
}

/// The number in at most `places` decimals, and whether that is all of it.
fn decimal(amount: Amount, places: u32) -> (String, bool) {
    let text = amount.to_string();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if !text.contains('/') && decimals <= places as usize {
        return (text, true);
    }
    shortened(amount, places).map_or((text, true), |short| (short.to_string(), false))
}

/// Rounded to `places` decimals, halves down; `None` if the number is too large for that.
fn shortened(amount: Amount, places: u32) -> Option<Amount> {
    let scale = Amount::whole(10_i128.checked_pow(places)?);
    let half = Amount::fraction(1, 2).ok()?;
    amount.times(scale).ok()?.minus(half).ok()?.ceil().over(scale).ok()
}

const MONTHS: [(&str, &str); 12] = [
    ("Jan", "January"),
    ("Feb", "February"),
    ("Mar", "March"),
    ("Apr", "April"),
    ("May", "May"),
    ("Jun", "June"),
    ("Jul", "July"),
    ("Aug", "August"),
    ("Sep", "September"),
    ("Oct", "October"),
    ("Nov", "November"),
    ("Dec", "December"),
];

/// The parts of a moment in UTC: year, month (from 0), day, and the time.
fn parts(moment: Timestamp) -> Option<(String, usize, String, String)> {
    let text = moment.to_string();
    let month =
        text.get(5..7)?.parse::<usize>().ok()?.checked_sub(1).filter(|month| *month < 12)?;
    let day = text.get(8..10)?.trim_start_matches('0');
    Some((text.get(..4)?.into(), month, day.into(), text.get(11..19)?.into()))
}

/// A moment, `24 Nov 2026, 14:03` in UTC; in full where one points at it.
pub(crate) fn moment(moment: Timestamp) -> Markup {
    told(moment, "14:03".len())
}

/// A moment to the second.
pub(crate) fn second(moment: Timestamp) -> Markup {
    told(moment, "14:03:09".len())
}

fn told(moment: Timestamp, length: usize) -> Markup {
    let Some((year, month, day, time)) = parts(moment) else { return html! { (moment) } };
    let time = time.get(..length).unwrap_or(&time);
    html! {
        time datetime=(moment) title=(moment) { (day) " " (MONTHS[month].0) " " (year) ", " (time) }
    }
}

/// A month, `November 2026`.
pub(crate) fn month(moment: Timestamp) -> String {
    match parts(moment) {
        Some((year, month, ..)) => format!("{} {year}", MONTHS[month].1),
        None => moment.to_string(),
    }
}

/// A month as addresses have it, `2026-11`.
pub(crate) fn month_key(moment: Timestamp) -> String {
    moment.to_string().get(..7).unwrap_or("").to_owned()
}

/// The first moment of a month as addresses have it.
pub(crate) fn month_of(key: &str) -> Option<Timestamp> {
    (key.len() == 7).then(|| format!("{key}-01T00:00:00Z").parse().ok()).flatten()
}

/// A stretch of time in its largest unit that is no lie, `10 minutes`.
pub(crate) fn time(seconds: u64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let fits = units.iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    fits.map_or_else(|| counted(seconds, "second"), |(unit, one)| counted(seconds / unit, one))
}

/// Memory, `256 MiB`.
pub(crate) fn memory(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(bits, _)| bytes >= 1 << bits && bytes.trailing_zeros() >= *bits);
    unit.map_or_else(
        || counted(bytes, "byte"),
        |(bits, unit)| format!("{}\u{a0}{unit}", bytes >> bits),
    )
}

/// Processors, `0.5 CPU`.
pub(crate) fn processors(thousandths: u32) -> String {
    let amount = Amount::fraction(i128::from(thousandths), 1_000);
    amount.map_or_else(|_| String::new(), |amount| format!("{amount}\u{a0}CPU"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_reads_as_one_says_it() {
        let cases: [(&[&str], &str); 4] =
            [(&[], ""), (&["a"], "a"), (&["a", "b"], "a and b"), (&["a", "b", "c"], "a, b and c")];
        for (names, said) in cases {
            assert_eq!(listed(names), said);
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(grouped("-1234.5678"), "-1,234.5678");
    }

    #[test]
    fn prices_have_the_decimals_of_their_currency_at_least() {
        let dollar = "USD".parse().unwrap();
        let cases = [("9", "9.00 USD"), ("0.0125", "0.0125 USD"), ("1234.5", "1,234.50 USD")];
        for (exact, said) in cases {
            assert_eq!(price(amount(exact), dollar), said);
        }
        assert_eq!(price(amount("5"), "JPY".parse().unwrap()), "5 JPY");
    }

    #[test]
    fn moments_are_said_in_utc() {
        let at: Timestamp = "2026-11-04T14:03:09.5Z".parse().unwrap();
        assert!(moment(at).0.contains(">4 Nov 2026, 14:03<"), "{}", moment(at).0);
        assert_eq!((month(at).as_str(), month_key(at).as_str()), ("November 2026", "2026-11"));
        assert_eq!(month_of("2026-11"), "2026-11-01T00:00:00Z".parse().ok());
        for bad in ["", "2026-13", "2026-1", "../../x"] {
            assert_eq!(month_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_sentence_is_escaped_and_dressed() {
        let said = sentence("the host `<b>` is taken").0;
        assert_eq!(said, "The host <code>&lt;b&gt;</code> is taken.");
    }

    #[test]
    fn output_loses_its_colours() {
        let red = printed("\u{1b}[31mred\u{1b}[0m\u{7}\n", None).0;
        assert_eq!(red, "<pre tabindex=\"0\">red</pre>");
    }

    #[test]
    fn addresses_of_the_instance_itself_are_links() {
        let said = |text| printed(text, Some("http://a.localhost:8080/")).0;
        let link = "<a href=\"http://a.localhost:8080/in/x\"";
        assert!(said("choose at http://a.localhost:8080/in/x\n").contains(link));
        for other in
            ["http://a.localhost:8080.evil/", "http://b.localhost/", "javascript:alert(1)", "/in"]
        {
            assert!(!said(other).contains("<a"), "{other}");
        }
    }

    #[test]
    fn sizes_are_said_in_their_largest_unit() {
        assert_eq!(memory(256 << 20), "256\u{a0}MiB");
        assert_eq!(memory(1536 << 20), "1536\u{a0}MiB");
        assert_eq!(processors(250), "0.25\u{a0}CPU");
    }
}
