//! How often somebody may try a password: less and less often, the more tries were wrong.
//!
//! Counted for each pair of address and person, for each address and for each person. A library
//! such as `governor` holds a steady rate; here the pause doubles with each wrong try, and a right
//! one is forgotten, so the table is our own. It is bounded, and is not kept over a restart.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use types::{Digest, Timestamp};

/// So many counts are kept; those that were moved last.
const COUNTS_MAX: usize = 50_000;
/// What nobody has tried for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_hours(1);
/// A pair that was right is known for so long: no stranger can shut its person out.
const KNOWN: Duration = Duration::from_hours(30 * 24);

/// How many tries are free, and how long the pause after the next ones grows at most.
struct Rule {
    free: u32,
    pause_max: Duration,
}

const PAIR: Rule = Rule { free: 5, pause_max: Duration::from_mins(15) };
/// Many people may stand behind one address.
const ADDRESS: Rule = Rule { free: 50, pause_max: Duration::from_mins(5) };
/// Whoever guesses from many addresses shuts the person out for so long at most.
const PERSON: Rule = Rule { free: 20, pause_max: Duration::from_secs(30) };

/// What is counted. Digests, since an e-mail address may be long and is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(IpAddr, Digest),
    Address(IpAddr),
    Person(Digest),
}

impl Key {
    fn rule(&self) -> &'static Rule {
        match self {
            Self::Pair(..) => &PAIR,
            Self::Address(_) => &ADDRESS,
            Self::Person(_) => &PERSON,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Count {
    tries: u32,
    last: Timestamp,
    /// When the pair was right.
    right: Option<Timestamp>,
}

impl Count {
    fn is_kept_at(&self, now: Timestamp) -> bool {
        let is_known = self.right.is_some_and(|right| now.since(right) < KNOWN);
        is_known || now.since(self.last) < FORGOTTEN
    }
}

#[derive(Debug, Default)]
pub(crate) struct Limits(Mutex<HashMap<Key, Count>>);

/// A try that may be made, until it is known whether it was right.
#[derive(Debug)]
pub(crate) struct Try {
    keys: Vec<Key>,
    /// Whether this person has signed in from this address before.
    pub(crate) is_known: bool,
}

impl Limits {
    fn counts(&self) -> MutexGuard<'_, HashMap<Key, Count>> {
        self.0.lock().expect("nobody panics while holding it")
    }

    /// Counts a try by `address` as `email` before it is made, so that many at once are as many;
    /// or says how long to wait first.
    pub(crate) fn begin(
        &self,
        address: Option<IpAddr>,
        email: &str,
        now: Timestamp,
    ) -> Result<Try, Duration> {
        let person = Digest::of(email.as_bytes());
        let place = network(address);
        let pair = Key::Pair(place, person.clone());
        let mut counts = self.counts();
        let is_known = counts
            .get(&pair)
            .is_some_and(|count| count.right.is_some_and(|right| now.since(right) < KNOWN));
        let mut keys = vec![pair];
        // Whoever is known from here answers for that alone: neither a neighbour's guesses nor a
        // stranger's shut them out.
        if !is_known {
            keys.push(Key::Person(person));
            keys.extend(address.map(|_| Key::Address(place)));
        }
        let pause = keys.iter().filter_map(|key| pause(key, counts.get(key)?, now)).max();
        if let Some(pause) = pause {
            return Err(pause);
        }
        make_room(&mut counts, now);
        for key in &keys {
            let count = counts.entry(key.clone());
            let count = count.or_insert(Count { tries: 0, last: now, right: None });
            if now.since(count.last) >= FORGOTTEN {
                count.tries = 0;
            }
            count.tries = count.tries.saturating_add(1);
            count.last = now;
        }
        Ok(Try { keys, is_known })
    }

    /// The try was no guess: it counts for nothing, and if it was `right` the pair is known.
    pub(crate) fn take_back(&self, made: &Try, right: bool, now: Timestamp) {
        let mut counts = self.counts();
        for key in &made.keys {
            let Some(count) = counts.get_mut(key) else { continue };
            count.tries = count.tries.saturating_sub(1);
            if right && matches!(key, Key::Pair(..)) {
                *count = Count { tries: 0, last: now, right: Some(now) };
            }
        }
    }
}

/// Whoever has an IPv6 address has a whole network of them.
fn network(address: Option<IpAddr>) -> IpAddr {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        Some(address) => address,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// How long to wait yet: a second after the first try that was not free, then twice as long.
fn pause(key: &Key, count: &Count, now: Timestamp) -> Option<Duration> {
    let over = count.tries.checked_sub(key.rule().free)?;
    let pause = Duration::from_secs(1_u64 << over.min(20)).min(key.rule().pause_max);
    pause.checked_sub(now.since(count.last)).filter(|left| !left.is_zero())
}

fn make_room(counts: &mut HashMap<Key, Count>, now: Timestamp) {
    if counts.len() + 3 <= COUNTS_MAX {
        return;
    }
    counts.retain(|_, count| count.is_kept_at(now));
    if counts.len() > COUNTS_MAX / 2 {
        let mut moved: Vec<Timestamp> = counts.values().map(|count| count.last).collect();
        let half = moved.len() / 2;
        let (_, &mut middle, _) = moved.select_nth_unstable(half);
        counts.retain(|_, count| count.last > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0).plus(Duration::from_secs(seconds))
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn wrong_guesses_wait_longer_and_longer() {
        let limits = Limits::default();
        let (mut now, mut tries) = (0, 0);
        while now < 3_600 {
            if limits.begin(Some(address(1)), "ada@example.com", at(now)).is_ok() {
                tries += 1;
            } else {
                now += 1;
            }
        }
        assert!((10..=20).contains(&tries), "{tries} guesses in an hour");
        let wait = limits.begin(Some(address(1)), "ada@example.com", at(now)).unwrap_err();
        assert!(wait > Duration::from_mins(1), "{wait:?}");
    }

    #[test]
    fn who_guesses_from_one_address_slows_nobody_at_another() {
        let limits = Limits::default();
        let mut made = 0;
        for guess in 0..200 {
            made += u32::from(limits.begin(Some(address(1)), &format!("{guess}@x"), at(1)).is_ok());
        }
        assert_eq!(made, ADDRESS.free);
        limits.begin(Some(address(2)), "ada@example.com", at(1)).unwrap();
        limits.begin(None, "ben@example.com", at(1)).unwrap();
    }

    #[test]
    fn guesses_from_everywhere_slow_strangers_only() {
        let limits = Limits::default();
        let first = limits.begin(Some(address(1)), "ada@example.com", at(1)).unwrap();
        assert!(!first.is_known);
        limits.take_back(&first, true, at(1));
        for last in 2..200 {
            let _ = limits.begin(Some(address(last)), "ada@example.com", at(2));
        }
        let wait = limits.begin(Some(address(201)), "ada@example.com", at(2)).unwrap_err();
        assert!(wait <= PERSON.pause_max);
        assert!(limits.begin(Some(address(1)), "ada@example.com", at(2)).unwrap().is_known);
    }

    #[test]
    fn right_ones_count_for_nothing() {
        let limits = Limits::default();
        for _ in 0..500 {
            let made = limits.begin(Some(address(1)), "ada@example.com", at(1)).unwrap();
            limits.take_back(&made, true, at(1));
        }
    }

    #[test]
    fn the_table_is_bounded_and_a_network_is_one_address() {
        let limits = Limits::default();
        for n in 0..60_000_u32 {
            let _ = limits.begin(Some(IpAddr::V4(n.into())), &n.to_string(), at(u64::from(n)));
        }
        assert!(limits.counts().len() <= COUNTS_MAX);
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
