//! Values that are written in one way and kept in another, and texts that must keep a form.

use std::{ops::RangeInclusive, time::Duration};

use types::Amount;

use super::{faults::shown, reader::Node};

/// A name as a title: `bytes_out` is `Bytes out`.
pub fn title_of(name: &str) -> String {
    let mut words = name.replace(['_', '-'], " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// Processors as thousandths: `0.5` is 500.
pub(super) fn cpu(node: &Node<'_>) -> Option<u32> {
    let mend = "write processors from 0.01 to 256, in steps of 0.001, such as `0.5`";
    let text = node.digits(mend)?;
    match thousandths(text) {
        Some(thousandths @ 10..=256_000) => Some(thousandths),
        _ => node.fail(format!("`{text}` cannot be had"), mend),
    }
}

/// Memory as bytes: `256MiB` is 268435456.
pub(super) fn memory(node: &Node<'_>) -> Option<u64> {
    let text = node.text()?;
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    match bytes(&format!("{}{unit}", number.trim_end())) {
        Some(bytes) if (1 << 20..=4 << 40).contains(&bytes) => Some(bytes),
        _ => node.fail(
            format!("`{}` is not an amount of memory", shown(text)),
            "write `MiB`, `GiB` or `TiB` after a whole number, from `1MiB` to `4TiB`",
        ),
    }
}

/// Thousandths: `0.5` is 500.
pub fn thousandths(text: &str) -> Option<u32> {
    let exact = text.parse::<Amount>().and_then(|number| number.times(Amount::whole(1000)));
    exact.ok().and_then(|number| number.to_string().parse().ok())
}

/// The bytes that `256MiB`, `2GiB` or `1TiB` are.
pub fn bytes(text: &str) -> Option<u64> {
    let units = [("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1_u64 << 40)];
    units.iter().find_map(|(unit, size)| {
        let number = text.strip_suffix(unit)?;
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse::<u64>().ok().filter(|_| plain)?.checked_mul(*size)
    })
}

/// A time written as `90s`, `10m`, `2h` or `7d`.
pub(super) fn duration_of(node: &Node<'_>, range: &RangeInclusive<Duration>) -> Option<Duration> {
    let text = node.text()?;
    match duration(text) {
        Some(duration) if range.contains(&duration) => Some(duration),
        _ => node.fail(
            format!("`{}` is not a time that can stand here", shown(text)),
            format!(
                "write `s`, `m`, `h` or `d` after a whole number, from `{}` to `{}`",
                written(*range.start()),
                written(*range.end())
            ),
        ),
    }
}

/// The time that `90s`, `10m`, `2h` or `7d` is.
pub fn duration(text: &str) -> Option<Duration> {
    UNITS.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?;
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse::<u64>().ok().filter(|_| plain)?;
        number.checked_mul(*seconds).map(Duration::from_secs)
    })
}

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

fn written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = UNITS.iter().find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, size)| format!("{}{unit}", seconds / size))
}
