//! When something recurs: a line of cron, in a time zone.
//!
//! A line whose hour is `*` recurs in every hour that passes, however clocks are set: an hour that
//! is repeated counts twice, one that is left out not at all. A line that names hours recurs once
//! at each of these times of the day: where clocks go back, the first time; where they leave it
//! out, at the moment when they go forward.

use std::{fmt, str::FromStr};

use jiff::{civil, tz};
use serde::{Deserialize, Serialize};

use crate::{Timestamp, as_text};

/// Each day of February falls on each day of the week within so many years.
const YEARS_MAX: i32 = 48;
const EVERY_HOUR: u64 = (1 << 24) - 1;

/// Why a text is not a line of cron or a time zone; what follows the last `: ` is the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error(
        "has {0} fields and not five: write minute, hour, day, month and day of the week such as `0 6 * * *`"
    )]
    Fields(usize),
    /// A field that says nothing.
    #[error(
        "`{text}` is not a {field}: write `*` or numbers from {low} to {high}, as `1,2`, `1-5` or `*/5`"
    )]
    Field {
        /// What it says.
        text: String,
        /// Which one.
        field: &'static str,
        /// The lowest number in it.
        low: u32,
        /// The highest.
        high: u32,
    },
    /// A day that no month has.
    #[error("never comes: write a day that one of its months has")]
    Never,
    /// Not in the tz database.
    #[error("`{0}` is not a time zone: write a name of the tz database such as `Europe/Berlin`")]
    TimeZone(String),
}

/// A line of cron: minute, hour, day, month and day of the week. It comes sooner or later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day has to be right in one of its two fields only: both name some.
    either_day: bool,
}

impl Cron {
    /// The first moment after `after` in which it recurs; `None` if the calendar ends before.
    pub fn next(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let zone = &zone.0;
        let mut from = moment(after.micros().checked_add(1)?)?;
        loop {
            let offset = zone.to_offset(from);
            let began = zone.preceding(from + jiff::SignedDuration::from_nanos(1)).next();
            let mut earliest = offset.to_datetime(from);
            if let Some(began) = began.filter(|_| self.hours != EVERY_HOUR) {
                // What the clock showed when it was set, and what it was set to.
                let old = moment(began.timestamp().as_microsecond() - 1)?;
                let shown = zone.to_offset(old).to_datetime(began.timestamp());
                let set_to = began.offset().to_datetime(began.timestamp());
                let left_out = || self.at_or_after(shown).is_some_and(|time| time < set_to);
                if from == began.timestamp() && left_out() {
                    return Some(Timestamp::from_micros(from.as_microsecond()));
                }
                // Up to what it had shown, all is repeated.
                earliest = earliest.max(shown);
            }
            let found = self.at_or_after(earliest).and_then(|time| offset.to_timestamp(time).ok());
            let change = zone.following(from).next().map(|change| change.timestamp());
            match (found, change) {
                (Some(found), change) if change.is_none_or(|change| found < change) => {
                    return Some(Timestamp::from_micros(found.as_microsecond()));
                }
                (_, Some(change)) => from = change,
                (_, None) => return None,
            }
        }
    }

    /// The first time of a clock that is never set.
    fn at_or_after(&self, time: civil::DateTime) -> Option<civil::DateTime> {
        let mut date = time.date();
        let mut minute = u32::from(time.hour().unsigned_abs()) * 60
            + u32::from(time.minute().unsigned_abs())
            + u32::from(time.second() > 0 || time.subsec_nanosecond() > 0);
        let last = i32::from(date.year()) + YEARS_MAX;
        while i32::from(date.year()) <= last {
            if !has(self.months, date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
                minute = 0;
                continue;
            }
            if self.is_day(date)
                && let Some((hour, minute)) = self.time_at_or_after(minute)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = date.tomorrow().ok()?;
            minute = 0;
        }
        None
    }

    fn is_day(&self, date: civil::Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        if self.either_day { day || weekday } else { day && weekday }
    }

    /// The hour and minute that come first, the minutes of the day being counted.
    fn time_at_or_after(&self, minute: u32) -> Option<(i8, i8)> {
        let (first, within) = (minute / 60, minute % 60);
        (first..24).filter(|hour| self.hours >> hour & 1 == 1).find_map(|hour| {
            let within = if hour == first { within } else { 0 };
            let left = self.minutes >> within;
            let minute = (left != 0).then(|| within + left.trailing_zeros())?;
            Some((i8::try_from(hour).ok()?, i8::try_from(minute).ok()?))
        })
    }
}

fn moment(micros: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(micros).ok()
}

fn has(set: u64, number: i8) -> bool {
    set >> number & 1 == 1
}

impl FromStr for Cron {
    type Err = CronError;
    fn from_str(text: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(CronError::Fields(fields.len()));
        };
        let weekday = set(weekdays, "day of the week", 0, 7)?;
        let cron = Self {
            text: fields.join(" "),
            minutes: set(minutes, "minute", 0, 59)?,
            hours: set(hours, "hour", 0, 23)?,
            days: set(days, "day", 1, 31)?,
            months: set(months, "month", 1, 12)?,
            // Sunday is 0 and 7.
            weekdays: weekday | weekday >> 7,
            either_day: !days.contains('*') && !weekdays.contains('*'),
        };
        // A year that has every day.
        match cron.at_or_after(civil::date(2000, 1, 1).at(0, 0, 0, 0)) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never),
        }
    }
}

/// The numbers that a field names.
fn set(text: &str, field: &'static str, low: u32, high: u32) -> Result<u64, CronError> {
    let shown = || text.chars().take(80).collect();
    let mut parts = text.split(',').map(|part| numbers(part, low, high));
    parts.try_fold(0, |set, part| Some(set | part?)).ok_or_else(|| CronError::Field {
        text: shown(),
        field,
        low,
        high,
    })
}

fn numbers(part: &str, low: u32, high: u32) -> Option<u64> {
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|number| plain && *number <= high)
    };
    let (range, step) = part.split_once('/').map_or((part, None), |(r, step)| (r, Some(step)));
    let (from, to) = match range.split_once('-') {
        None if range == "*" => (low, high),
        // A step from a single number on is read differently by different crons.
        None if step.is_some() => return None,
        None => (number(range)?, number(range)?),
        Some((from, to)) => (number(from)?, number(to)?),
    };
    let step = step.map_or(Some(1), number).filter(|step| *step > 0)?;
    let whole = low <= from && from <= to;
    whole.then(|| (from..=to).step_by(step as usize).fold(0, |set, number| set | 1 << number))
}

/// Where clocks show which time: a name of the tz database, which is compiled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeZone(tz::TimeZone);

impl TimeZone {
    /// The names that there are.
    pub fn names() -> Vec<String> {
        tz::db().available().map(|name| name.to_string()).collect()
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self(tz::TimeZone::UTC)
    }
}

impl FromStr for TimeZone {
    type Err = CronError;
    fn from_str(text: &str) -> Result<Self, CronError> {
        let known = tz::TimeZone::get(text).ok().filter(|zone| zone.iana_name().is_some());
        known.map(Self).ok_or_else(|| CronError::TimeZone(text.chars().take(80).collect()))
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(Cron, CronError);
as_text!(TimeZone, CronError);

#[cfg(test)]
mod tests;
