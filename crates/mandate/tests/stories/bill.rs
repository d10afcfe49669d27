//! The bill of somebody whose service knows nothing of bills.

use std::collections::BTreeMap;

use api::{
    billing::{
        self, BillLine, GetBill, JOB_MILLISECONDS, LineExplanation, LineKind, ListUsage,
        UsageEvent, Verification,
    },
    configurator::Instance,
};
use types::{Amount, InstanceId, Page};

use crate::world::{Person, eventually};

/// What an instance has used so far, as far as one page goes.
pub(crate) async fn usage(person: &Person, instance: InstanceId) -> Page<UsageEvent> {
    let (account, limit) = (person.account(), Some(Page::<UsageEvent>::LIMIT_MAX));
    let list = ListUsage { account, instance: Some(instance), after: None, limit };
    person.asks(list).await.unwrap()
}

/// How many events of a meter there are.
pub(crate) fn count(usage: &Page<UsageEvent>, meter: &str) -> usize {
    usage.items.iter().filter(|event| event.meter == meter).count()
}

pub(crate) async fn is_explained(ada: &Person, forum: &Instance) {
    let host = forum.host.as_str();
    // One post was written below a topic, and two jobs ran.
    let all = |usage: &Page<UsageEvent>| {
        let requests = count(usage, "requests");
        requests >= 9 && count(usage, "posts") == 1 && count(usage, JOB_MILLISECONDS) == 2
    };
    let told = eventually("usage is told", || usage(ada, forum.instance), all).await;
    let usage: Page<UsageEvent> = ada.does(&["bill", "usage", "--instance", host]).await;
    assert_eq!(usage.items[..told.items.len()], told.items);
    let notes: Vec<&str> = usage.items.iter().map(|event| event.note.as_str()).collect();
    assert!(notes.contains(&"POST /topics/*/posts") && notes.contains(&"migrate"), "{notes:?}");
    assert!(usage.items.iter().all(|event| event.instance == forum.instance));

    // What a time costs is on the bill once that time has passed.
    let ask = async || ada.asks(GetBill { account: ada.account(), month: None }).await.unwrap();
    eventually("time has passed", ask, |bill| bill.lines.len() >= 8).await;
    let bill: billing::Bill = ada.does(&["bill", "show"]).await;
    assert!(bill.draft && bill.account == ada.account());
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for line in &bill.lines {
        *kinds.entry(format!("{:?}", line.kind)).or_default() += 1;
        let explanation = ada.does(&["bill", "explain", &line.line]).await;
        adds_up(line, &explanation);
    }
    let expected = [("Jobs", 1), ("Meter", 3), ("Module", 2), ("Plan", 1), ("Size", 1)];
    assert_eq!(kinds, expected.map(|(kind, lines)| (kind.to_owned(), lines)).into());

    let verification: Verification = ada.does(&["bill", "verify"]).await;
    assert!(verification.agrees && verification.events >= 12, "{verification:?}");
    let names = |lines: Vec<&String>| lines.into_iter().cloned().collect::<Vec<String>>();
    let mut billed = names(bill.lines.iter().map(|line| &line.line).collect());
    let mut verified = names(verification.lines.iter().map(|line| &line.line).collect());
    billed.sort();
    verified.sort();
    assert_eq!(billed, verified);
    assert!(verification.lines.iter().all(|line| line.billed == line.recomputed));
}

/// From the amount to rates and quantities, and from the quantity to what was used.
fn adds_up(line: &BillLine, explanation: &LineExplanation) {
    let LineExplanation { line: explained, exact, parts, usage, usage_count, .. } = explanation;
    assert_eq!((&explained.line, explained.kind), (&line.line, line.kind));
    let sum = |amounts: &mut dyn Iterator<Item = Amount>| {
        amounts.fold(Amount::zero(), |sum, amount| sum.plus(amount).unwrap())
    };
    assert_eq!(sum(&mut parts.iter().map(|part| part.amount)), *exact, "{explanation:?}");
    for part in parts {
        assert_eq!(part.quantity.times(part.rate).unwrap(), part.amount, "{explanation:?}");
    }
    let currency = explained.amount.currency;
    assert_eq!(exact.round(currency).unwrap(), explained.amount, "{explanation:?}");
    assert!(usize::try_from(*usage_count).unwrap() == usage.len() && !usage.is_empty());
    if matches!(line.kind, LineKind::Meter | LineKind::Jobs) {
        let used = sum(&mut usage.iter().map(|usage| usage.quantity));
        assert_eq!(used, explained.quantity, "{explanation:?}");
    }
}
