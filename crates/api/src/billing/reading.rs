//! Quantities and prices as people read them. Programs take the exact numbers instead.

use types::{Amount, Currency};

/// Quantities of bytes from this many on are said in larger units, each a thousand of the next.
const BYTES: [(i64, &str); 4] =
    [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];

/// A number with at most `places` decimals and its thousands apart: `1,234.5`.
pub fn number(amount: Amount, places: u32) -> String {
    grouped(&amount.rounded(places).unwrap_or(amount).to_string())
}

/// A decimal number with its thousands apart.
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

/// How much of a unit, in two parts: `1.23` and `GB`, `1,500` and `requests`, `1` and `month`.
pub fn quantity(quantity: Amount, unit: &str) -> (String, String) {
    if unit == "bytes" {
        let larger = BYTES.into_iter().find(|(bytes, _)| quantity >= Amount::whole(*bytes));
        if let Some((bytes, name)) = larger
            && let Ok(many) = quantity.over(Amount::whole(bytes))
        {
            return (number(many, 2), name.to_owned());
        }
    }
    let name = if quantity == Amount::whole(1) { one(unit) } else { unit.to_owned() };
    let text = number(quantity, 2);
    if text == "0" && quantity > Amount::zero() {
        return ("less than 0.01".to_owned(), name);
    }
    (text, name)
}

/// The same in one: `1.23 GB`.
pub fn quantity_text(many: Amount, unit: &str) -> String {
    let (number, unit) = quantity(many, unit);
    format!("{number} {unit}")
}

/// What one of a unit costs, or as many as make a price that can be read: `0.09 USD per GB`,
/// `0.0125 USD per hour`, `0.02 USD per 1,000 requests`.
pub fn price(rate: Amount, unit: &str, currency: Currency) -> String {
    let name = one(unit);
    let larger: Vec<(i64, String)> = match unit {
        "bytes" => vec![(1_000_000_000, "GB".to_owned())],
        "hours" | "months" => vec![(1, name)],
        "seconds" => vec![(1, name), (3_600, "hour".to_owned())],
        _ => {
            let thousands = [1_000, 1_000_000]
                .map(|many: i64| (many, format!("{} {unit}", grouped(&many.to_string()))));
            [(1, name)].into_iter().chain(thousands).collect()
        }
    };
    let scaled = larger
        .into_iter()
        .filter_map(|(many, name)| Some((rate.times(Amount::whole(many)).ok()?, name)));
    let mut last = (rate, one(unit));
    for (price, name) in scaled {
        last = (price, name);
        let is_short = price.rounded(4) == Some(price);
        if is_short && (price == Amount::zero() || price.rounded(2) > Some(Amount::zero())) {
            break;
        }
    }
    format!("{} {currency} per {}", money(last.0, currency), last.1)
}

/// A price or a sum with at least the decimals of its currency, and at most six.
pub fn money(amount: Amount, currency: Currency) -> String {
    let mut text = number(amount, 6);
    if text == "0" && amount > Amount::zero() {
        text = number(amount, 12);
    }
    let places = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let wanted = usize::from(currency.exponent());
    if places < wanted {
        text.push_str(if places == 0 { "." } else { "" });
        text.extend(std::iter::repeat_n('0', wanted - places));
    }
    text
}

/// The name of one of a unit, which is said in the plural.
fn one(unit: &str) -> String {
    unit.strip_suffix('s').unwrap_or(unit).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn quantities_are_said_in_units_that_people_know() {
        let cases = [
            ("1", "requests", "1 request"),
            ("1500", "requests", "1,500 requests"),
            ("211/300", "months", "0.7 months"),
            ("1/21600", "months", "less than 0.01 months"),
            ("7211/3600", "hours", "2 hours"),
            ("999", "bytes", "999 bytes"),
            ("104857600", "bytes", "104.86 MB"),
            ("1234567890", "bytes", "1.23 GB"),
            ("0", "posts", "0 posts"),
        ];
        for (many, unit, text) in cases {
            assert_eq!(quantity_text(amount(many), unit), text);
        }
    }

    #[test]
    fn prices_are_said_for_as_many_as_can_be_read() {
        let dollar = "USD".parse().unwrap();
        let cases = [
            ("0.00000000009", "bytes", "0.09 USD per GB"),
            ("0", "bytes", "0.00 USD per GB"),
            ("0.0125", "hours", "0.0125 USD per hour"),
            ("9", "months", "9.00 USD per month"),
            ("0.25", "posts", "0.25 USD per post"),
            ("0.00002", "requests", "0.02 USD per 1,000 requests"),
            ("0.0000002", "requests", "0.20 USD per 1,000,000 requests"),
            ("0.00000000009", "requests", "0.00009 USD per 1,000,000 requests"),
            ("0.000015", "seconds", "0.054 USD per hour"),
            ("0.001", "seconds", "3.60 USD per hour"),
            ("0.005", "hours", "0.005 USD per hour"),
        ];
        for (rate, unit, text) in cases {
            assert_eq!(price(amount(rate), unit, dollar), text);
        }
        assert_eq!(price(amount("120"), "posts", "JPY".parse().unwrap()), "120 JPY per post");
    }

    #[test]
    fn sums_have_the_decimals_of_their_currency_and_no_fractions() {
        let dollar = "USD".parse().unwrap();
        assert_eq!(money(amount("3481/300000"), dollar), "0.011603");
        assert_eq!(money(amount("1234.5"), dollar), "1,234.50");
        assert_eq!(money(amount("0.0000000009"), dollar), "0.0000000009");
    }
}
