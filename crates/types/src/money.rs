//! Money that is exact: amounts are rationals until a bill's line, whole minor units after it.

use std::{fmt, str::FromStr};

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub, Signed, ToPrimitive, Zero};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::as_text;

/// Why an amount cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not an ISO 4217 code with a minor unit.
    #[error("`{0}` is not a currency: use an ISO 4217 code such as `USD`")]
    Currency(String),
    /// Not a decimal number.
    #[error("`{0}` is not an amount: write a decimal number such as `0.0125`")]
    Amount(String),
    /// Two currencies met.
    #[error("{0} and {1} cannot be added")]
    Mixed(Currency, Currency),
    /// The number does not fit.
    #[error("an amount is too large to be exact")]
    Overflow,
}

/// An ISO 4217 currency that has a minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency {
    iso: iso_currency::Currency,
    exponent: u16,
}

impl Currency {
    /// How many decimal places its minor unit has: 2 for USD, 0 for JPY, 3 for BHD.
    pub const fn exponent(self) -> u16 {
        self.exponent
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Self, MoneyError> {
        let wrong = || MoneyError::Currency(code.chars().take(20).collect());
        let iso = iso_currency::Currency::from_code(code).ok_or_else(wrong)?;
        let exponent = iso.exponent().ok_or_else(wrong)?;
        Ok(Self { iso, exponent })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.iso.code())
    }
}

as_text!(Currency, MoneyError, "^[A-Z]{3}$");

/// An amount of a currency in whole minor units (cents for USD): what is on a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// Which currency.
    pub currency: Currency,
    /// How many of its minor unit.
    pub minor: i64,
}

impl Money {
    /// No money at all.
    pub const fn zero(currency: Currency) -> Self {
        Self { currency, minor: 0 }
    }

    /// The sum of two amounts of one currency.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::from(self.currency.exponent);
        let digits = format!("{:0>1$}", self.minor.unsigned_abs(), places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let sign = if self.minor < 0 { "-" } else { "" };
        let point = if places == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction} {}", self.currency)
    }
}

/// An exact number: a price per unit, or an amount that is not yet rounded.
///
/// A checked rational of `i128`, so `1/3 × 3` is 1; what would not fit is an error, never a wrong
/// number. On the wire it is a decimal where that is exact (`0.0125`) and a fraction where it is
/// not (`1/3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(Ratio<i128>);

impl Amount {
    /// Nothing.
    pub fn zero() -> Self {
        Self(Ratio::zero())
    }

    /// A whole number.
    pub fn whole(number: impl Into<i128>) -> Self {
        Self(Ratio::from_integer(number.into()))
    }

    /// `numerator / denominator`; the denominator must not be zero.
    pub fn fraction(numerator: i128, denominator: i128) -> Result<Self, MoneyError> {
        if denominator == 0 {
            return Err(MoneyError::Overflow);
        }
        Ok(Self(Ratio::new(numerator, denominator)))
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(&other.0).map(Self).ok_or(MoneyError::Overflow)
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_sub(&other.0).map(Self).ok_or(MoneyError::Overflow)
    }

    /// The product.
    pub fn times(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_mul(&other.0).map(Self).ok_or(MoneyError::Overflow)
    }

    /// The quotient; dividing by zero is an error.
    pub fn over(self, other: Self) -> Result<Self, MoneyError> {
        if other.0.is_zero() {
            return Err(MoneyError::Overflow);
        }
        self.0.checked_div(&other.0).map(Self).ok_or(MoneyError::Overflow)
    }

    /// The next whole number that is not smaller.
    #[must_use]
    pub fn ceil(self) -> Self {
        // The library's own adds before it divides, which overflows at the edge.
        let below = self.0.trunc();
        Self(if self.0 > below { below + 1 } else { below })
    }

    /// The nearest number with at most so many decimals, halves away from zero; nothing if that
    /// does not fit.
    pub fn rounded(self, places: u32) -> Option<Self> {
        let scale = Ratio::from_integer(10i128.checked_pow(places)?);
        Some(Self(self.0.checked_mul(&scale)?.round() / scale))
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.0.is_negative()
    }

    /// Rounded once to the minor unit of `currency`, halves away from zero.
    pub fn round(self, currency: Currency) -> Result<Money, MoneyError> {
        let scale = Self::whole(10i128.pow(u32::from(currency.exponent)));
        let minor = self.times(scale)?.0.round().to_integer().to_i64();
        Ok(Money { currency, minor: minor.ok_or(MoneyError::Overflow)? })
    }

    /// Money, as the exact number of its major unit.
    pub fn of(money: Money) -> Self {
        Self(Ratio::new(i128::from(money.minor), 10i128.pow(u32::from(money.currency.exponent))))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numerator, denominator) = (*self.0.numer(), *self.0.denom());
        // A fraction ends in decimals exactly if its denominator divides a power of ten.
        let exact = (0..30u32).find_map(|places| {
            let scale = 10i128.checked_pow(places)?;
            let digits = (scale % denominator == 0)
                .then(|| numerator.checked_mul(scale / denominator))
                .flatten()?;
            Some((digits, places as usize))
        });
        let Some((digits, places)) = exact else {
            return write!(f, "{numerator}/{denominator}");
        };
        let sign = if digits < 0 { "-" } else { "" };
        let text = format!("{:0>1$}", digits.unsigned_abs(), places + 1);
        let (whole, decimals) = text.split_at(text.len() - places);
        let point = if places == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{decimals}")
    }
}

impl FromStr for Amount {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let wrong = || MoneyError::Amount(text.chars().take(60).collect());
        if let Some((numerator, denominator)) = text.split_once('/') {
            let numerator: i128 = numerator.parse().map_err(|_| wrong())?;
            let denominator: i128 = denominator.parse().map_err(|_| wrong())?;
            // The least number has no opposite, so that it cannot be reduced.
            return if denominator > 0 && numerator > i128::MIN {
                Self::fraction(numerator, denominator)
            } else {
                Err(wrong())
            };
        }
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let (whole, decimals) = match digits.split_once('.') {
            Some((_, decimals)) if !plain(decimals) => return Err(wrong()),
            Some(parts) => parts,
            None => (digits, ""),
        };
        if !plain(whole) || decimals.len() > 38 {
            return Err(wrong());
        }
        let number: i128 = format!("{whole}{decimals}").parse().map_err(|_| wrong())?;
        let places = u32::try_from(decimals.len()).map_err(|_| wrong())?;
        Ok(Self(Ratio::new(sign * number, 10i128.pow(places))))
    }
}

as_text!(Amount, MoneyError, "^-?[0-9]+(\\.[0-9]+|/[0-9]+)?$");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn a_third_three_times_is_one() {
        let third = Amount::whole(1).over(Amount::whole(3)).unwrap();
        assert_eq!(third.to_string(), "1/3");
        assert_eq!(third.times(Amount::whole(3)).unwrap(), Amount::whole(1));
    }

    #[test]
    fn halves_round_away_from_zero_to_the_minor_unit() {
        let cases = [("10.275", "USD", "10.28 USD"), ("-10.275", "EUR", "-10.28 EUR")];
        let more = [
            ("1000.5", "JPY", "1001 JPY"),
            ("0.0005", "BHD", "0.001 BHD"),
            ("0", "USD", "0.00 USD"),
        ];
        for (exact, code, rounded) in cases.into_iter().chain(more) {
            assert_eq!(amount(exact).round(currency(code)).unwrap().to_string(), rounded);
        }
    }

    #[test]
    fn currencies_do_not_mix_and_gold_is_not_one() {
        let dollar = Money { currency: currency("USD"), minor: 1 };
        let yen = Money { currency: currency("JPY"), minor: 1 };
        assert!(dollar.plus(yen).is_err());
        assert!("XAU".parse::<Currency>().is_err() && "usd".parse::<Currency>().is_err());
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for bad in ["", ".", "1.", ".5", "1e5", "+1", "1/0", "1/-2", "--1", "1,5", "0x1", "９"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let huge = Amount::whole(i128::MAX);
        assert_eq!(huge.plus(huge), Err(MoneyError::Overflow));
        assert_eq!(huge.times(huge), Err(MoneyError::Overflow));
        assert_eq!(huge.over(Amount::zero()), Err(MoneyError::Overflow));
        assert_eq!(huge.round(currency("JPY")), Err(MoneyError::Overflow));
        assert_eq!(huge.ceil(), huge);
        assert!(format!("{}/3", i128::MIN).parse::<Amount>().is_err());
    }

    #[test]
    fn decimals_are_cut_to_so_many() {
        let cases = [("2/3", 2, "0.67"), ("-0.125", 2, "-0.13"), ("1.5", 4, "1.5"), ("7", 0, "7")];
        for (exact, places, rounded) in cases {
            assert_eq!(amount(exact).rounded(places), Some(amount(rounded)));
        }
        assert_eq!(Amount::whole(i128::MAX).rounded(1), None);
    }

    proptest! {
        #[test]
        fn every_amount_reads_back(numerator in (i128::MIN + 1).., denominator in 1i128.., places in 0u32..30, small in any::<bool>()) {
            let (numerator, denominator) = if small {
                (numerator % 1_000_000_000, denominator % 1_000_000 + 1)
            } else {
                (numerator, 10i128.pow(places))
            };
            let exact = Amount::fraction(numerator, denominator).unwrap();
            prop_assert_eq!(amount(&exact.to_string()), exact);
        }

        #[test]
        fn splitting_a_quantity_does_not_change_the_sum(parts in proptest::collection::vec(0i128..1_000_000, 1..20), price in 0i128..1_000_000) {
            let price = Amount::fraction(price, 7_000_000).unwrap();
            let whole = Amount::whole(parts.iter().sum::<i128>()).times(price).unwrap();
            let split = parts.iter().try_fold(Amount::zero(), |sum, part| sum.plus(Amount::whole(*part).times(price)?));
            prop_assert_eq!(split.unwrap(), whole);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            drop(text.parse::<Amount>());
        }
    }
}
