//! Money as whole numbers of a trillionth.

use types::{Amount, MoneyError};

/// How many make one of a currency's major unit. Prices have at most twelve decimals.
pub(super) const PICOS: i128 = 1_000_000_000_000;

/// A price, in trillionths.
pub(super) fn picos(price: Amount) -> Result<i128, MoneyError> {
    let text = price.to_string();
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{whole}{decimals:0<12}");
    if decimals.len() > 12 {
        return Err(MoneyError::Amount(text));
    }
    digits.parse().map_err(|_| MoneyError::Amount(text))
}

/// A checked product.
pub(super) fn times(one: i128, other: i128) -> Result<i128, MoneyError> {
    one.checked_mul(other).ok_or(MoneyError::Overflow)
}

/// `numerator / denominator` of a major unit in whole minor units, halves up; neither is negative.
pub(super) fn minor_units(
    numerator: i128,
    denominator: i128,
    exponent: u16,
) -> Result<i64, MoneyError> {
    let scaled = times(times(numerator, 10_i128.pow(exponent.into()))?, 2)?;
    let doubled = scaled.checked_add(denominator).ok_or(MoneyError::Overflow)?;
    i64::try_from(doubled / times(denominator, 2)?).map_err(|_| MoneyError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_from_their_decimals() {
        let cases = [("9", 9 * PICOS), ("0.0125", 12_500_000_000), ("0.000000000001", 1), ("0", 0)];
        for (text, expected) in cases {
            assert_eq!(picos(text.parse().unwrap()).unwrap(), expected, "{text}");
        }
        for bad in ["1/3", "0.0000000000001"] {
            assert!(picos(bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn halves_go_up() {
        for (numerator, rounded) in [(10_275, 1028), (10_274, 1027), (10_270, 1027), (0, 0)] {
            assert_eq!(minor_units(numerator, 1000, 2).unwrap(), rounded);
        }
        assert!(minor_units(i128::MAX, 1, 2).is_err());
    }
}
