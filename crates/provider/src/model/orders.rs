//! What state of an order follows from what.

use std::time::Duration;

use api::{
    Problem,
    billing::PutSubscription,
    configurator::PutInstance,
    provider::{Order, OrderPhase},
};
use types::{OrderId, Timestamp};

use super::changes::Changes;
use crate::Error;

/// Who is told next, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Billing, that the instance is paid for from now on.
    AskBilling,
    /// The configurator, what the instance is.
    TellConfigurator,
    /// Billing, that nobody got it. Also where billing itself refused: it may have agreed to the
    /// same before, and the answer was lost.
    TakeBack,
}

/// The next step of an order; none once it is done.
pub(crate) const fn next_step(phase: OrderPhase) -> Option<Step> {
    match phase {
        OrderPhase::Placed => Some(Step::AskBilling),
        OrderPhase::Agreed => Some(Step::TellConfigurator),
        OrderPhase::Undoing => Some(Step::TakeBack),
        OrderPhase::Complete | OrderPhase::Failed => None,
    }
}

/// The order after `step` was answered; as it was where nothing follows from the answer, and the
/// same is to be asked again.
pub(crate) fn after(step: Step, told: Result<(), Problem>, order: Order) -> Option<Order> {
    match (step, told) {
        (Step::AskBilling, Ok(())) => Some(Order { phase: OrderPhase::Agreed, ..order }),
        (Step::TellConfigurator, Ok(())) => Some(Order { phase: OrderPhase::Complete, ..order }),
        (Step::TakeBack, Ok(())) => Some(Order { phase: OrderPhase::Failed, ..order }),
        (Step::TakeBack, Err(_)) => None,
        (_, Err(problem)) if problem.is_transient() => None,
        (_, Err(problem)) => {
            Some(Order { phase: OrderPhase::Undoing, problem: Some(problem.detail), ..order })
        }
    }
}

/// The order that changes `latest`. Orders of an instance follow each other, and what billing is
/// told holds from different moments, so it comes later than the latest also if the clock does not.
pub(crate) fn changed(latest: Order, changes: &Changes, now: Timestamp) -> Order {
    let created = now.max(latest.created.plus(Duration::from_micros(1)));
    let (order, phase) = (OrderId::new(created), OrderPhase::Placed);
    Order { order, phase, problem: None, created, ..changes.made_to(latest) }
}

/// Whether `latest` may be changed by somebody who has seen `known`, given the order that is in
/// force.
pub(crate) fn check_change(
    known: Option<OrderId>,
    latest: &Order,
    in_force: Option<&Order>,
) -> Result<(), Error> {
    if known.is_some_and(|known| known != latest.order) {
        return Err(Error::Stale);
    }
    if in_force.is_none() {
        return Err(Error::Pending);
    }
    Ok(())
}

/// What billing is told of an order.
pub(crate) fn subscription(order: &Order) -> PutSubscription {
    PutSubscription {
        account: order.account,
        instance: order.instance,
        service: order.service.clone(),
        host: order.host.clone(),
        plan: order.plan.clone(),
        size: order.size.clone(),
        modules: order.modules.clone(),
        since: order.created,
    }
}

/// What the configurator is told of an order.
pub(crate) fn instance(order: &Order) -> PutInstance {
    PutInstance {
        account: order.account,
        instance: order.instance,
        service: order.service.clone(),
        host: order.host.clone(),
        modules: order.modules.clone(),
        size: order.size.clone(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::{AccountId, InstanceId};

    /// An order that was placed so many microseconds after 1970.
    pub(crate) fn placed(number: i64) -> Order {
        let created = Timestamp::from_micros(number);
        Order {
            order: OrderId::new(created),
            account: AccountId::named(&["account"]),
            instance: InstanceId::named(&["instance"]),
            service: "forum".parse().unwrap(),
            plan: "basic".into(),
            modules: [].into(),
            size: "small".into(),
            host: "a.localhost".parse().unwrap(),
            phase: OrderPhase::Placed,
            problem: None,
            created,
        }
    }

    fn answer() -> impl Strategy<Value = Result<(), Problem>> {
        prop_oneof![
            Just(Ok(())),
            Just(Err(Problem::unavailable("away", 1))),
            Just(Err(Problem::conflict("no", "refused"))),
        ]
    }

    proptest! {
        /// The law of orders: whatever is answered, an order ends complete if both have agreed, and
        /// failed, taken back and explained if one refused for good; nothing else ends it.
        #[test]
        fn an_order_ends_as_it_was_answered(answers in prop::collection::vec(answer(), 0..12)) {
            let (mut order, mut asked, mut refused) = (placed(1), Vec::new(), false);
            for told in answers {
                let Some(step) = next_step(order.phase) else { break };
                asked.push((step, told.is_ok()));
                let is_final = told.as_ref().is_err_and(|problem| !problem.is_transient());
                refused |= is_final && step != Step::TakeBack;
                match after(step, told.clone(), order.clone()) {
                    Some(next) => order = next,
                    None => prop_assert!(told.is_err()),
                }
            }
            let agreed = |step| asked.contains(&(step, true));
            let (complete, failed) =
                (order.phase == OrderPhase::Complete, order.phase == OrderPhase::Failed);
            prop_assert_eq!(complete, agreed(Step::AskBilling) && agreed(Step::TellConfigurator));
            prop_assert_eq!(failed, refused && agreed(Step::TakeBack));
            prop_assert_eq!(order.problem.is_some(), refused);
        }

        #[test]
        fn a_change_comes_after_what_it_changes(latest in 0_i64..1_000, now in 0_i64..1_000) {
            let (latest, now) = (placed(latest), Timestamp::from_micros(now));
            let changes = Changes { modules: None, size: Some("large".into()) };
            let next = changed(latest.clone(), &changes, now);
            prop_assert!(next.created > latest.created && next.created >= now);
            prop_assert_eq!((next.instance, next.size.as_str()), (latest.instance, "large"));
        }
    }

    #[test]
    fn both_are_told_what_was_ordered() {
        let order = placed(7);
        let (paid, made) = (subscription(&order), instance(&order));
        assert_eq!(paid.since, order.created, "from then on it is paid for");
        assert_eq!((&paid.host, &paid.size, &paid.plan), (&order.host, &order.size, &order.plan));
        assert_eq!((paid.instance, &paid.modules), (made.instance, &made.modules));
        assert_eq!((&made.host, &made.size), (&order.host, &order.size));
    }

    #[test]
    fn what_was_changed_meanwhile_or_is_not_there_is_not_changed() {
        let (latest, other) = (placed(2), placed(1));
        let check = |known, in_force| check_change(known, &latest, in_force);
        assert!(check(None, Some(&other)).is_ok());
        assert!(check(Some(latest.order), Some(&other)).is_ok());
        assert!(matches!(check(Some(other.order), Some(&other)), Err(Error::Stale)));
        assert!(matches!(check(None, None), Err(Error::Pending)));
    }
}
