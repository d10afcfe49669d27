//! Values that are written in one way and kept in another, and texts that must keep a form.

use types::Amount;

use super::{faults::shown, reader::Node};

/// A name as a title: `bytes_out` is `Bytes out`.
pub(crate) fn title_of(name: &str) -> String {
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
    let exact = text.parse::<Amount>().and_then(|number| number.times(Amount::whole(1000)));
    let thousandths = exact.ok().and_then(|number| number.to_string().parse::<u32>().ok());
    match thousandths {
        Some(thousandths @ 10..=256_000) => Some(thousandths),
        _ => node.fail(format!("`{text}` cannot be had"), mend),
    }
}

/// Memory as bytes: `256MiB` is 268435456.
pub(super) fn memory(node: &Node<'_>) -> Option<u64> {
    let text = node.text()?;
    let units = [("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1_u64 << 40)];
    let bytes = units.iter().find_map(|(unit, bytes)| {
        let number = text.strip_suffix(unit)?.trim_end();
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse::<u64>().ok().filter(|_| plain)?.checked_mul(*bytes)
    });
    match bytes {
        Some(bytes) if (1 << 20..=4 << 40).contains(&bytes) => Some(bytes),
        _ => node.fail(
            format!("`{}` is not an amount of memory", shown(text)),
            "write `MiB`, `GiB` or `TiB` after a whole number, from `1MiB` to `4TiB`",
        ),
    }
}

/// A schedule in the five fields of cron.
pub(super) fn schedule(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let mend = "write minute, hour, day, month and day of the week such as `0 6 * * *`";
    if fields.len() != 5 {
        return node.fail(format!("has {} fields and not five", fields.len()), mend);
    }
    let ranges = [
        ("minute", 0, 59),
        ("hour", 0, 23),
        ("day", 1, 31),
        ("month", 1, 12),
        ("day of the week", 0, 7),
    ];
    let wrong = ranges.iter().zip(&fields).find(|((_, low, high), field)| {
        !field.split(',').all(|part| is_cron_part(part, *low, *high))
    });
    match wrong {
        None => Some(fields.join(" ")),
        Some(((name, low, high), field)) => node.fail(
            format!("`{}` is not a {name}", shown(field)),
            format!("write `*` or numbers from {low} to {high}, as `1,2`, `1-5` or `*/5`"),
        ),
    }
}

fn is_cron_part(part: &str, low: u32, high: u32) -> bool {
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|number| plain && *number <= high)
    };
    let (range, step) = part.split_once('/').map_or((part, None), |(r, step)| (r, Some(step)));
    let stepped = step.is_none_or(|step| number(step).is_some_and(|step| step > 0));
    let ranged = match range.split_once('-') {
        None if range == "*" => true,
        // A step from a single number on is read differently by different crons.
        None => step.is_none() && number(range).is_some_and(|number| number >= low),
        Some((from, to)) => match (number(from), number(to)) {
            (Some(from), Some(to)) => low <= from && from <= to,
            _ => false,
        },
    };
    stepped && ranged
}
