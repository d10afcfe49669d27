//! What happens next, by chance: the same for the same seed.

use std::time::Duration;

/// Numbers that look like chance (`SplitMix64`).
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Those that follow from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        usize::try_from(self.next() % end).expect("it is smaller than one that was a `usize`")
    }

    /// One of several, each as often as it is listed.
    pub(crate) fn one_of<T: Copy>(&mut self, several: &[T]) -> T {
        several[self.below(several.len())]
    }

    /// A time between two, in milliseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same() {
        let ten = |seed| {
            let mut chance = Chance::new(seed);
            (0..10).map(|_| chance.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(ten(7), ten(7));
        assert_ne!(ten(7), ten(8));
        let mut chance = Chance::new(1);
        assert!((0..100).map(|_| chance.millis(5, 9)).all(|it| (5..9).contains(&it.as_millis())));
    }
}
