//! Emptying a node.

use api::releases::{self, DrainNode, RefillNode};
use clap::Args;
use types::{Clock as _, SystemClock};

use super::super::{
    Failure, Outcome,
    context::Context,
    names::{Ids, Names},
    output::{counted, moment},
    progress::Progress,
    status,
};

/// Empty a node: it gets nothing new, and what can move runs elsewhere before it ends there.
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// Which node: its name or id
    node: String,
    /// In which time it should be empty, such as `90s` or `10m`
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds)]
    within: u32,
    /// Do not wait until it is empty
    #[arg(long)]
    no_wait: bool,
    /// Let it have instances again; those that moved stay where they are
    #[arg(long, conflicts_with_all = ["within", "no_wait"])]
    undo: bool,
}

pub(in crate::cli) fn seconds(text: &str) -> Result<u32, String> {
    let seconds = api::manifest::duration(text).and_then(|time| time.as_secs().try_into().ok());
    let seconds = seconds.filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| "write a time from `1s` to `1d`, such as `10m`".to_owned())
}

impl Drain {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let releases::Node { node, name, .. } = cx.node(&self.node).await?;
        if self.undo {
            let node = cx.ask(RefillNode { node }).await?;
            return cx.show(&node, |_| format!("`{name}` can have instances again."));
        }
        let mut drained = cx.ask(DrainNode { node, deadline_seconds: self.within }).await?;
        if !self.no_wait {
            let look = || cx.node(&self.node);
            drained = Progress::begin(cx).until(look, is_empty).await?;
        }
        let stays = drained.drain.iter().flat_map(|drain| drain.stays.clone()).collect();
        let called = cx.names(Ids { instances: stays, ..Ids::default() }).await;
        cx.show(&drained, |node| match &node.drain {
            Some(drain) => format!("`{name}`: {}.", sentence(drain, &called)),
            None => format!("`{name}` is not emptied any more."),
        })
    }
}

fn is_empty(
    progress: &mut Progress,
    node: releases::Node,
) -> Result<Option<releases::Node>, Failure> {
    let Some(drain) = &node.drain else {
        return Err(Failure::new(status::UNFIT, "somebody lets it have instances again"));
    };
    if drain.left == 0 {
        return Ok(Some(node));
    }
    let waits_for = drain.waits_for.as_ref();
    let waits_for = waits_for.map_or_else(String::new, |what| format!(", waiting for {what}"));
    let what = format!("{} to move{waits_for}", counted(drain.left));
    if drain.until < SystemClock.now() {
        let sentence = format!("the time is over, with {what}");
        return Err(Failure::new(status::UNAVAILABLE, sentence)
            .hint("what is left moves as soon as it can; `--undo` lets it stay"));
    }
    progress.say(&what)?;
    Ok(None)
}

/// How far it is, in a sentence.
pub(super) fn sentence(drain: &releases::Drain, called: &Names) -> String {
    let stays = match drain.stays.as_slice() {
        [] => "nothing has to stay".to_owned(),
        stays => {
            let names: Vec<String> = stays.iter().map(|id| called.instance(*id)).collect();
            format!("what has its data there stays: {}", names.join(", "))
        }
    };
    match drain.left {
        0 => format!("empty of what can move; {stays}"),
        left => format!("{} to move until {}; {stays}", counted(left), moment(drain.until)),
    }
}
