//! Step 8: a bill that explains itself.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    BAKERY, Demo,
    person::{number, text},
    story,
};
use crate::process::until;

/// How long usage may take from the gateway to the bill.
const METERED_LONGEST: Duration = Duration::from_mins(1);
/// What must be on the bill.
const KINDS: [&str; 5] = ["plan", "size", "module", "meter", "jobs"];

/// How many posts the bill has so far: an earlier run's.
pub(crate) async fn posts(demo: &Demo) -> anyhow::Result<i64> {
    let bill = demo.ada.ask("bill show").await?;
    lines(&bill).iter().find(|line| is_posts(line)).map_or(Ok(0), quantity)
}

/// Shows the draft, walks into a line, and has the bill recomputed.
pub(crate) async fn show(demo: &Demo, written: i64) -> anyhow::Result<()> {
    let (bill, posts) = metered(demo, written).await?;
    let total = check_sum(&bill)?;
    demo.story.done(format!(
        "{} lines: plan, size, two modules, what was metered, and jobs; together {total}",
        lines(&bill).len()
    ));
    story::quote(&demo.ada.read("bill show").await?);
    check_posts(&posts)?;
    let name = text(&posts, "/line")?;
    let explained = demo.ada.ask(&format!("bill explain {name}")).await?;
    ensure!(number(&explained, "/usage_count")? > 0, "no usage stands behind {name}: {explained}");
    let rate = text(&explained, "/parts/0/rate")?;
    let note = text(&explained, "/usage/0/note")?;
    demo.story.done(format!("`mandate bill explain {name}`: rate {rate}, and what for: {note}"));
    story::quote(&demo.ada.read(&format!("bill explain {name} --usage 3")).await?);
    let verified = demo.ada.ask("bill verify").await?;
    ensure!(verified["agrees"] == true, "the recomputation disagrees: {verified}");
    let events = number(&verified, "/events")?;
    demo.story
        .done(format!("`mandate bill verify` recomputes it from {events} usage events and agrees"));
    Ok(())
}

/// The bill, once everything that was used is on it, and its line of posts.
async fn metered(demo: &Demo, written: i64) -> anyhow::Result<(Value, Value)> {
    let mut last = Value::Null;
    let complete = until(METERED_LONGEST, async || {
        let bill = demo.ada.ask("bill show").await?;
        let kinds =
            |kind: &&str| lines(&bill).iter().any(|line| used(line) && line["kind"] == **kind);
        let posts = lines(&bill).iter().find(|line| used(line) && is_posts(line)).cloned();
        let counted = posts.as_ref().map_or(Ok(0), quantity)?;
        ensure!(counted <= written, "{counted} posts are counted and {written} were written");
        let complete = KINDS.iter().all(kinds) && counted == written;
        last = bill;
        Ok(posts.filter(|_| complete))
    });
    let posts = complete.await?;
    let posts = posts.with_context(|| {
        format!("the bill of {BAKERY} lacks something, or its {written} posts: {last}")
    })?;
    Ok((last, posts))
}

/// A post costs a quarter.
fn check_posts(line: &Value) -> anyhow::Result<()> {
    let posts = quantity(line)?;
    let cents = number(line, "/amount/minor")?;
    ensure!(cents == 25 * posts, "{posts} posts cost {cents} cents, not 25 each");
    Ok(())
}

fn quantity(line: &Value) -> anyhow::Result<i64> {
    text(line, "/quantity")?.parse().context("posts are counted")
}

fn is_posts(line: &Value) -> bool {
    line["line"].as_str().is_some_and(|name| name.ends_with(".meter.posts"))
}

fn used(line: &Value) -> bool {
    line["quantity"].as_str().is_some_and(|quantity| quantity != "0")
}

fn lines(bill: &Value) -> &[Value] {
    bill["lines"].as_array().map_or(&[], Vec::as_slice)
}

/// The total is the sum of the lines, in whole cents.
fn check_sum(bill: &Value) -> anyhow::Result<String> {
    let mut sum = 0;
    for line in lines(bill) {
        sum += number(line, "/amount/minor")?;
    }
    let total = number(bill, "/totals/0/minor")?;
    ensure!(
        sum == total && total > 0,
        "the lines are {sum} cents and the total is {total}: {bill}"
    );
    let currency = text(bill, "/totals/0/currency")?;
    Ok(format!("{}.{:02} {currency}", total / 100, total % 100))
}
