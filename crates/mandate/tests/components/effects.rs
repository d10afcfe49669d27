//! What jobs did, as an application would know it; and chance that can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use api::jobs::Lease;
use types::JobId;

/// What an application would keep that uses the token: an effect is made once for each job, and never
/// under an older token than one that was seen. Attempts may be heard of in any order.
#[derive(Default)]
pub(crate) struct Effects {
    given: BTreeSet<(JobId, u64)>,
    pub(crate) tokens: BTreeMap<JobId, u64>,
    pub(crate) made: BTreeMap<JobId, u32>,
}

impl Effects {
    pub(crate) fn begin(&mut self, lease: &Lease) {
        assert!(self.given.insert((lease.job, lease.token)), "a token was given out twice");
        let seen = self.tokens.entry(lease.job).or_default();
        *seen = lease.token.max(*seen);
    }

    /// Makes the effect, if it is this attempt's to make.
    pub(crate) fn make(&mut self, lease: &Lease) {
        let made = self.made.entry(lease.job).or_default();
        *made += u32::from(*made == 0 && self.tokens[&lease.job] == lease.token);
    }
}

/// A small generator, so that a run can be told again by its seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides
    }
}
