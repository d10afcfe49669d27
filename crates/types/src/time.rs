//! Moments, periods, and the clock that is handed in.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A moment: microseconds since 1970-01-01T00:00:00Z. RFC 3339 on the wire, `BIGINT` in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("`{0}` is not a moment: write it as `2026-12-01T00:00:00Z`")]
    Moment(String),
    /// A period that ends before it begins.
    #[error("a period must not end ({ends}) before it starts ({starts})")]
    Period {
        /// Where it starts.
        starts: Timestamp,
        /// Where it would end.
        ends: Timestamp,
    },
}

impl Timestamp {
    /// The moment that many microseconds after 1970 began.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970 began.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The moment `duration` later; the last one that can be written if that is past it.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The moment `duration` earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; nothing if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The calendar month in UTC that this moment is in.
    pub fn month(self) -> Period {
        let moment = jiff::Timestamp::from_microsecond(self.0).unwrap_or_default();
        let first = jiff::tz::Offset::UTC.to_datetime(moment).date().first_of_month();
        let next = first.checked_add(jiff::Span::new().months(1)).unwrap_or(first);
        Period { starts: Self::midnight(first), ends: Self::midnight(next) }
    }

    fn midnight(day: jiff::civil::Date) -> Self {
        let midnight = day.to_datetime(jiff::civil::Time::midnight());
        let moment = jiff::tz::Offset::UTC.to_timestamp(midnight).unwrap_or_default();
        Self(moment.as_microsecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => fmt::Display::fmt(&moment, f),
            Err(_) => write!(f, "{}µs", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.parse::<jiff::Timestamp>()
            .map(|moment| Self(moment.as_microsecond()))
            .map_err(|_| TimeError::Moment(text.chars().take(80).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// The time from `starts` up to but not including `ends`, so that periods tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    starts: Timestamp,
    ends: Timestamp,
}

impl Period {
    /// The period between two moments.
    pub fn new(starts: Timestamp, ends: Timestamp) -> Result<Self, TimeError> {
        if starts <= ends {
            Ok(Self { starts, ends })
        } else {
            Err(TimeError::Period { starts, ends })
        }
    }

    /// So long a time, from a moment on.
    pub fn lasting(starts: Timestamp, long: Duration) -> Self {
        Self { starts, ends: starts.plus(long) }
    }

    /// The first moment inside.
    pub const fn starts(self) -> Timestamp {
        self.starts
    }

    /// The first moment after.
    pub const fn ends(self) -> Timestamp {
        self.ends
    }

    /// Whether `moment` is inside.
    pub fn contains(self, moment: Timestamp) -> bool {
        self.starts <= moment && moment < self.ends
    }

    /// The part that both periods cover; `None` if they only touch or are apart.
    pub fn overlap(self, other: Self) -> Option<Self> {
        let starts = self.starts.max(other.starts);
        let ends = self.ends.min(other.ends);
        (starts < ends).then_some(Self { starts, ends })
    }

    /// How long it is, in microseconds.
    pub fn micros(self) -> u64 {
        self.ends.0.abs_diff(self.starts.0)
    }
}

/// Where the time comes from. Handed in everywhere, so that a month can pass in a test.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_microsecond())
    }
}

/// A clock that moves when it is told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Lets `duration` pass.
    pub fn advance(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets it, back as well.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_wire_form_is_rfc_3339() {
        let noon = moment("2026-12-01T12:00:00Z");
        assert_eq!(noon.to_string(), "2026-12-01T12:00:00Z");
        assert_eq!(moment("2026-12-01T13:00:00+01:00"), noon);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn a_month_is_the_calendar_month() {
        let month = moment("2028-02-29T23:59:59.999999Z").month();
        assert_eq!(month.starts(), moment("2028-02-01T00:00:00Z"));
        assert_eq!(month.ends(), moment("2028-03-01T00:00:00Z"));
    }

    proptest! {
        #[test]
        fn a_period_cut_anywhere_loses_nothing(start in 0i64..1_000, length in 1i64..1_000, cut in 0i64..1_000) {
            let at = Timestamp::from_micros;
            let whole = Period::new(at(start), at(start + length)).unwrap();
            let cut = at(start + cut % (length + 1));
            let parts = [Period::new(whole.starts(), cut).unwrap(), Period::new(cut, whole.ends()).unwrap()];
            prop_assert_eq!(parts.iter().map(|p| p.micros()).sum::<u64>(), whole.micros());
            prop_assert!(parts[0].overlap(parts[1]).is_none());
        }
    }
}
