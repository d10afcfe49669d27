//! Which instance moves in which wave.

use std::collections::BTreeSet;

use api::releases::{RolloutPlan, Wave};
use types::InstanceId;

/// The wave of each instance, counted from 1; none for those that stay. The canaries are a wave of
/// their own, and come first.
pub(crate) fn waves(
    plan: &RolloutPlan,
    instances: &BTreeSet<InstanceId>,
) -> Vec<(InstanceId, Option<u32>)> {
    let (first, rest): (Vec<InstanceId>, Vec<InstanceId>) = instances
        .iter()
        .filter(|instance| !plan.except.contains(instance))
        .partition(|instance| plan.canary.contains(instance));
    let stay = instances.iter().filter(|instance| plan.except.contains(instance));
    let mut assigned: Vec<(InstanceId, Option<u32>)> = stay.map(|it| (*it, None)).collect();
    let mut wave = 1;
    assigned.extend(first.iter().map(|instance| (*instance, Some(wave))));
    wave += u32::from(!first.is_empty());
    let all = rest.len();
    let mut left = rest.into_iter();
    for size in &plan.waves {
        let size = match size {
            Wave::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            Wave::Percent(percent) => {
                (all * usize::try_from(*percent).unwrap_or(100)).div_ceil(100)
            }
            Wave::Rest => usize::MAX,
        };
        let some: Vec<InstanceId> = left.by_ref().take(size).collect();
        assigned.extend(some.iter().map(|instance| (*instance, Some(wave))));
        wave += u32::from(!some.is_empty());
    }
    assigned.extend(left.map(|instance| (instance, Some(wave))));
    assigned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instance(number: usize) -> InstanceId {
        InstanceId::named(&[&number.to_string()])
    }

    fn sizes(assigned: &[(InstanceId, Option<u32>)]) -> Vec<usize> {
        let last = assigned.iter().filter_map(|(_, wave)| *wave).max().unwrap_or(0);
        (1..=last).map(|wave| assigned.iter().filter(|it| it.1 == Some(wave)).count()).collect()
    }

    #[test]
    fn canaries_come_first_and_the_rest_in_the_waves_that_are_asked_for() {
        let all: BTreeSet<InstanceId> = (0..50).map(instance).collect();
        let plan = |waves: &[&str]| RolloutPlan {
            waves: waves.iter().map(|wave| wave.parse().unwrap()).collect(),
            ..RolloutPlan::default()
        };
        assert_eq!(sizes(&waves(&plan(&[]), &all)), [50]);
        assert_eq!(sizes(&waves(&plan(&["1", "10%", "rest"]), &all)), [1, 5, 44]);
        assert_eq!(sizes(&waves(&plan(&["1", "10%"]), &all)), [1, 5, 44], "what none has");
        assert_eq!(sizes(&waves(&plan(&["100%", "5"]), &all)), [50]);
        let (canary, except) = ([instance(7)].into(), [instance(8), instance(9)].into());
        let some = RolloutPlan { canary, except, ..plan(&["1", "rest"]) };
        let assigned = waves(&some, &all);
        assert_eq!(sizes(&assigned), [1, 1, 46]);
        assert!(assigned.contains(&(instance(7), Some(1))));
        assert!(assigned.contains(&(instance(8), None)));
        // A canary that is not there makes no empty wave.
        let strange = RolloutPlan { canary: [instance(99)].into(), ..plan(&["2"]) };
        assert_eq!(sizes(&waves(&strange, &all)), [2, 48]);
        for wrong in ["0", "0%", "101%", "-1", "all", ""] {
            assert!(wrong.parse::<Wave>().is_err(), "{wrong}");
        }
    }

    fn wave() -> impl Strategy<Value = Wave> {
        prop_oneof![
            (1_u32..20).prop_map(Wave::Count),
            (1_u32..=100).prop_map(Wave::Percent),
            Just(Wave::Rest)
        ]
    }

    proptest! {
        #[test]
        fn each_has_one_wave_and_no_wave_is_empty(
            count in 0_usize..60,
            sizes_asked in prop::collection::vec(wave(), 0..6),
            canary in 0_usize..8,
            except in 0_usize..8,
        ) {
            let all: BTreeSet<InstanceId> = (0..count).map(instance).collect();
            let plan = RolloutPlan {
                canary: (0..canary).map(instance).collect(),
                except: (canary..canary + except).map(instance).collect(),
                waves: sizes_asked,
                ..RolloutPlan::default()
            };
            let assigned = waves(&plan, &all);
            let named: BTreeSet<InstanceId> = assigned.iter().map(|(it, _)| *it).collect();
            prop_assert!(named == all && assigned.len() == all.len());
            prop_assert!(sizes(&assigned).iter().all(|size| *size > 0));
            for (instance, wave) in assigned {
                prop_assert_eq!(wave.is_none(), plan.except.contains(&instance));
                if plan.canary.contains(&instance) {
                    prop_assert_eq!(wave, Some(1));
                }
            }
        }
    }
}
