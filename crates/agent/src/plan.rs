//! What to do next on a node. Pure: what is desired and what is observed in, steps out.
//!
//! Each step makes one thing as it should be and is safe to plan again. A replica that is to be
//! another generation is started as such, and the one before it is stopped when that is healthy.

use std::collections::{BTreeMap, BTreeSet};

use api::releases::{Desired, DesiredReplica, ReleaseState};
use types::{Digest, Name, ReplicaId};

use crate::host::{Observed, ObservedRelease, ObservedReplica, Step};

/// How many ready releases of a service are kept after they were used, for a rollback.
pub(crate) const KEPT: usize = 2;

/// The steps that lead from what is observed towards what is desired; none if it is reached, or if
/// what was begun must be waited for.
pub(crate) fn plan(desired: &Desired, observed: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    steps.extend(stops(desired, observed));
    steps.extend(removals(desired, observed));
    steps.extend(installs(desired, observed));
    steps.extend(starts(desired, observed));
    steps.extend(promotions(desired, observed));
    steps
}

fn stops(desired: &Desired, observed: &Observed) -> impl Iterator<Item = Step> {
    let wanted: BTreeMap<ReplicaId, &DesiredReplica> =
        desired.replicas.iter().map(|replica| (replica.replica, replica)).collect();
    // Made ready for another engine: it is made anew, which it cannot be while something uses it.
    let misfits = observed.releases.iter().filter(|release| release.engine != desired.engine);
    let misfits: BTreeSet<&Digest> = misfits.map(|release| &release.report.digest).collect();
    let healthy: BTreeSet<(ReplicaId, u64)> =
        observed.replicas.iter().filter(|replica| replica.is_healthy()).map(key).collect();
    let superfluous = move |replica: &&ObservedReplica| {
        let of_release = wanted.get(&replica.report.replica);
        let of_release = of_release.filter(|wanted| wanted.digest == replica.report.digest);
        let is_needed = of_release.is_some_and(|wanted| {
            let replaced = healthy.contains(&(wanted.replica, wanted.generation));
            wanted.generation == replica.generation || (replica.is_healthy() && !replaced)
        });
        let fits = is_needed && !misfits.contains(&replica.report.digest);
        !fits && !replica.stopping
    };
    let replicas = observed.replicas.iter().filter(superfluous);
    replicas.map(|replica| Step::Stop(replica.report.replica, replica.generation))
}

/// What is one of its kind on a node.
fn key(replica: &ObservedReplica) -> (ReplicaId, u64) {
    (replica.report.replica, replica.generation)
}

fn removals(desired: &Desired, observed: &Observed) -> Vec<Step> {
    let wanted: BTreeSet<&Digest> = named(desired).collect();
    let running: BTreeSet<&Digest> =
        observed.replicas.iter().map(|replica| &replica.report.digest).collect();
    let mut releases: Vec<&ObservedRelease> = observed.releases.iter().collect();
    releases.sort_by_key(|release| std::cmp::Reverse(release.since));
    let mut kept: BTreeMap<&Name, usize> = BTreeMap::new();
    let mut steps = Vec::new();
    for release in releases {
        let report = &release.report;
        let superfluous = if wanted.contains(&report.digest) {
            release.engine != desired.engine
        } else if report.state == ReleaseState::Ready {
            let of_service = kept.entry(&report.service).or_default();
            *of_service += 1;
            *of_service > KEPT
        } else {
            true
        };
        if superfluous && !release.in_use && !running.contains(&report.digest) {
            steps.push(Step::Remove(report.digest.clone()));
        }
    }
    steps
}

fn installs(desired: &Desired, observed: &Observed) -> impl Iterator<Item = Step> {
    let there: BTreeSet<&Digest> =
        observed.releases.iter().map(|release| &release.report.digest).collect();
    let missing = desired.releases.iter().filter(move |release| !there.contains(&release.digest));
    missing.map(|release| Step::Install(Box::new(release.clone()), desired.engine.clone()))
}

fn starts(desired: &Desired, observed: &Observed) -> impl Iterator<Item = Step> {
    let ready: BTreeSet<&Digest> = ready(desired, observed).collect();
    let there: BTreeSet<(ReplicaId, u64)> = observed.replicas.iter().map(key).collect();
    let startable = move |replica: &&DesiredReplica| {
        let key = (replica.replica, replica.generation);
        ready.contains(&replica.digest) && !there.contains(&key)
    };
    desired.replicas.iter().filter(startable).map(|replica| Step::Start(replica.clone()))
}

/// What is current, for people and restarts, once it is ready.
fn promotions(desired: &Desired, observed: &Observed) -> impl Iterator<Item = Step> {
    let ready: BTreeSet<&Digest> = ready(desired, observed).collect();
    let current = desired.releases.iter().filter(move |release| {
        release.is_current
            && ready.contains(&release.digest)
            && observed.current.get(&release.service) != Some(&release.digest)
    });
    current.map(|release| Step::Promote(release.service.clone(), release.digest.clone()))
}

fn named(desired: &Desired) -> impl Iterator<Item = &Digest> {
    let releases = desired.releases.iter().map(|release| &release.digest);
    releases.chain(desired.replicas.iter().map(|replica| &replica.digest))
}

fn ready<'o>(desired: &Desired, observed: &'o Observed) -> impl Iterator<Item = &'o Digest> {
    let engine = desired.engine.clone();
    let fits = move |release: &&ObservedRelease| {
        release.report.state == ReleaseState::Ready && release.engine == engine
    };
    observed.releases.iter().filter(fits).map(|release| &release.report.digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{
        manifest::Manifest,
        releases::{DesiredRelease, ReleaseReport, ReplicaReport, ReplicaState},
    };
    use proptest::prelude::*;
    use types::Timestamp;

    const MANIFEST: &str = r#"
[service]
name = "store"
title = "Store"
[run]
command = ["./run"]
[sizes.small]
title = "Small"
cpu = 0.5
memory = "128MiB"
"#;

    fn release(service: u8, version: u8) -> DesiredRelease {
        DesiredRelease {
            digest: Digest::of(&[service, version]),
            service: format!("s{service}").parse().unwrap(),
            manifest: Manifest::parse("mandate.toml", MANIFEST).unwrap(),
            public_key: String::new(),
            signature: String::new(),
            is_current: true,
        }
    }

    fn desired(engine: bool, wants: &[(u8, u8, u8, u64)]) -> Desired {
        let mut releases = BTreeMap::new();
        let mut replicas = BTreeMap::new();
        for (service, version, copy, generation) in wants {
            let release = release(*service, *version);
            let replica = DesiredReplica {
                replica: ReplicaId::named(&[&format!("{service} {version} {copy}")]),
                digest: release.digest.clone(),
                service: release.service.clone(),
                instance: None,
                size: None,
                generation: *generation,
                process: "web".to_owned(),
                index: 0,
            };
            releases.insert(release.digest.clone(), release);
            replicas.insert(replica.replica, replica);
        }
        // Of the releases of a service one is the current one.
        let mut current: BTreeMap<Name, Digest> = BTreeMap::new();
        for release in releases.values() {
            current.insert(release.service.clone(), release.digest.clone());
        }
        for release in releases.values_mut() {
            release.is_current = current[&release.service] == release.digest;
        }
        Desired {
            version: 1,
            engine: if engine { "sqlite" } else { "postgres" }.to_owned(),
            releases: releases.into_values().collect(),
            replicas: replicas.into_values().collect(),
            report: None,
            logs: Vec::new(),
            ticket_key: None,
        }
    }

    /// What a node is after a step, with the promise that no step may break.
    fn apply(observed: &mut Observed, step: Step, clock: &mut i64) {
        *clock += 1;
        match step {
            Step::Install(release, engine) => {
                let there = observed.releases.iter().any(|r| r.report.digest == release.digest);
                assert!(!there, "installed twice");
                observed.releases.push(ObservedRelease {
                    report: ReleaseReport {
                        digest: release.digest,
                        service: release.service,
                        state: ReleaseState::Fetching,
                        log: String::new(),
                    },
                    engine,
                    since: Timestamp::from_micros(*clock),
                    in_use: false,
                    shared: false,
                });
            }
            Step::Remove(digest) => {
                let used = observed.replicas.iter().any(|r| r.report.digest == digest);
                assert!(!used, "removed under a replica");
                observed.releases.retain(|release| {
                    assert!(!release.in_use || release.report.digest != digest, "removed in use");
                    release.report.digest != digest
                });
            }
            Step::Promote(service, digest) => drop(observed.current.insert(service, digest)),
            Step::Start(want) => {
                let report = ReplicaReport {
                    replica: want.replica,
                    digest: want.digest,
                    service: want.service,
                    process: "web".to_owned(),
                    instance: None,
                    address: String::new(),
                    state: ReplicaState::Starting,
                    starts: 1,
                    next_start: None,
                    log: String::new(),
                };
                let generation = want.generation;
                let there = observed.replicas.iter().any(|r| key(r) == (want.replica, generation));
                assert!(!there, "started twice");
                observed.replicas.push(ObservedReplica { report, generation, stopping: false });
            }
            Step::Stop(replica, generation) => {
                let mut replicas = observed.replicas.iter_mut();
                let found = replicas.find(|found| key(found) == (replica, generation)).unwrap();
                assert!(!found.stopping, "stopped twice");
                found.stopping = true;
            }
        }
    }

    /// Lets some of what was begun be done.
    fn pass(observed: &mut Observed, luck: u64) {
        let lucky = |place: usize| (luck >> (place % 60)) & 1 == 1;
        for (place, release) in observed.releases.iter_mut().enumerate() {
            if lucky(place) {
                release.report.state = match release.report.state {
                    ReleaseState::Fetching => ReleaseState::Building,
                    ReleaseState::Building if luck.is_multiple_of(7) => ReleaseState::Failed,
                    _ => ReleaseState::Ready,
                };
            }
        }
        let mut place = 0;
        observed.replicas.retain_mut(|replica| {
            place += 1;
            if lucky(place) {
                replica.report.state = ReplicaState::Healthy;
            }
            !(replica.stopping && lucky(place))
        });
    }

    fn settle(desired: &Desired, observed: &mut Observed, lucks: &[u64]) {
        let mut clock = 1;
        for luck in lucks.iter().copied().chain(std::iter::repeat_n(u64::MAX, 12)) {
            for step in plan(desired, observed) {
                if let Step::Stop(stopped, generation) = &step {
                    let kept = desired.replicas.iter().find(|want| want.replica == *stopped);
                    let find = |sought| observed.replicas.iter().find(|r| key(r) == sought);
                    let running = find((*stopped, *generation)).unwrap();
                    let changed = kept.is_none_or(|want| {
                        let new = find((want.replica, want.generation));
                        let replaced = new.is_some_and(ObservedReplica::is_healthy);
                        want.generation != *generation && (replaced || !running.is_healthy())
                    });
                    let mut releases = observed.releases.iter();
                    let misfit = releases.any(|release| {
                        release.report.digest == running.report.digest
                            && release.engine != desired.engine
                    });
                    assert!(changed || misfit, "a replica that is to be kept is stopped");
                }
                apply(observed, step, &mut clock);
            }
            pass(observed, luck);
        }
    }

    fn wants() -> impl Strategy<Value = Vec<(u8, u8, u8, u64)>> {
        proptest::collection::vec((0u8..3, 0u8..5, 0u8..3, 0u64..2), 0..10)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn it_settles_on_what_is_desired_and_then_rests(
            wishes in proptest::collection::vec((any::<bool>(), wants()), 1..4),
            lucks in proptest::collection::vec(any::<u64>(), 0..6),
        ) {
            let mut observed = Observed::default();
            for (engine, wants) in &wishes {
                settle(&desired(*engine, wants), &mut observed, &lucks);
            }
            let (engine, wants) = wishes.last().unwrap();
            let desired = desired(*engine, wants);
            settle(&desired, &mut observed, &[]);
            prop_assert_eq!(plan(&desired, &observed), vec![]);
            let runs: BTreeSet<(ReplicaId, u64)> =
                observed.replicas.iter().map(|r| (r.report.replica, r.generation)).collect();
            let wanted: BTreeSet<(ReplicaId, u64)> =
                desired.replicas.iter().map(|r| (r.replica, r.generation)).collect();
            prop_assert_eq!(runs, wanted);
            let mut spare: BTreeMap<&Name, usize> = BTreeMap::new();
            for release in &observed.releases {
                if !desired.releases.iter().any(|r| r.digest == release.report.digest) {
                    *spare.entry(&release.report.service).or_default() += 1;
                }
            }
            prop_assert!(spare.values().all(|count| *count <= KEPT));
        }
    }

    #[test]
    fn the_link_leads_to_the_current_one_though_others_run_and_are_there() {
        let (old, new) = ((0, 0, 0, 0), (0, 1, 0, 0));
        let mut observed = Observed::default();
        let service: Name = "s0".parse().unwrap();
        let both = |current: DesiredRelease| {
            let mut both = desired(true, &[old, new]);
            for release in &mut both.releases {
                release.is_current = release.digest == current.digest;
            }
            both
        };
        settle(&both(release(0, 0)), &mut observed, &[]);
        assert_eq!(observed.current[&service], release(0, 0).digest);
        settle(&both(release(0, 1)), &mut observed, &[]);
        assert_eq!(observed.current[&service], release(0, 1).digest);
        settle(&desired(true, &[new]), &mut observed, &[]);
        assert_eq!(observed.replicas.len(), 1);
    }

    #[test]
    fn what_failed_is_neither_started_nor_the_current_one() {
        let (desired, mut observed) = (desired(true, &[(0, 0, 0, 0)]), Observed::default());
        let mut clock = 1;
        for step in plan(&desired, &observed) {
            apply(&mut observed, step, &mut clock);
        }
        observed.releases[0].report.state = ReleaseState::Failed;
        assert_eq!(plan(&desired, &observed), vec![]);
    }

    #[test]
    fn what_a_job_runs_from_is_not_removed() {
        let mut observed = Observed::default();
        for version in 0..4 {
            settle(&desired(true, &[(0, version, 0, 0)]), &mut observed, &[]);
            observed.releases.iter_mut().for_each(|release| release.in_use = true);
        }
        assert_eq!(observed.releases.len(), 4);
        observed.releases.iter_mut().for_each(|release| release.in_use = false);
        settle(&desired(true, &[]), &mut observed, &[]);
        assert_eq!(observed.releases.len(), KEPT);
    }
}
