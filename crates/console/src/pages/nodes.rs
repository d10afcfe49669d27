//! The nodes, what each has and what it runs.

use api::{
    identity::RemoveNode,
    releases::{Drain, DrainNode, ListNodes, Node, RefillNode, ReplicaReport, ReplicaState},
};
use axum::{
    extract::{Path, Query},
    response::{IntoResponse as _, Redirect},
};
use maud::{Markup, html};
use types::{Clock as _, NodeId, SystemClock};

use crate::{
    answer::{Answer, Page, Shown},
    form::{Fields, form},
    layout,
    names::{Ids, Names},
    pages::releases,
    paging::{Paging, ROWS},
    states,
    states::Said as _,
    visitor::Person,
    words,
};

pub(crate) async fn list(person: Person, Query(Paging { after }): Query<Paging>) -> Shown {
    let page = person.client.call(ListNodes { after, limit: ROWS }).await?;
    let is_going = page.items.iter().any(is_going);
    let replicas = page.items.iter().flat_map(|node| &node.replicas);
    let instances = replicas.filter_map(|replica| replica.instance).collect();
    let names = Names::of(&person, Ids { instances, ..Ids::default() }).await;
    let content = html! {
        header.title { h1 { "Nodes" } }
        @if page.items.is_empty() {
            (layout::nothing("No machine has joined yet. `mandate agent --join` does it."))
        }
        @for node in &page.items { (card(&person, node, &names)) }
        (layout::more("/operate/nodes", page.next.as_deref()))
    };
    Ok(Page::new("Nodes", layout::live("/operate/nodes", is_going, content)).going(is_going))
}

fn is_going(node: &Node) -> bool {
    let replicas = node.replicas.iter().any(|replica| replica.state == ReplicaState::Starting);
    let busy = node.releases.iter().any(|report| report.state.said().1 == states::Tone::Busy);
    node.alive && (replicas || busy)
}

/// In how long a node is to be empty; nothing is ended by force after that.
const EMPTY_WITHIN_SECONDS: u32 = 600;

/// What can move goes elsewhere, as soon as it can.
pub(crate) async fn drain(person: Person, Path(node): Path<NodeId>) -> Answer {
    person.client.call(DrainNode { node, deadline_seconds: EMPTY_WITHIN_SECONDS }).await?;
    Ok(Redirect::to("/operate/nodes").into_response())
}

/// It is as good as any other again.
pub(crate) async fn refill(person: Person, Path(node): Path<NodeId>) -> Answer {
    person.client.call(RefillNode { node }).await?;
    Ok(Redirect::to("/operate/nodes").into_response())
}

/// The node is gone from there on, wherever its key was known.
pub(crate) async fn remove(person: Person, Path(node): Path<NodeId>, fields: Fields) -> Answer {
    let force = fields.get("force") == "yes";
    person.client.call(RemoveNode { node, force }).await?;
    Ok(Redirect::to("/operate/nodes").into_response())
}

fn card(person: &Person, node: &Node, names: &Names) -> Markup {
    let removal = format!("/operate/nodes/{}/removal", node.node);
    html! {
        section.card {
            h2.heading {
                span { (node.name) }
                span {
                    @if node.drain.is_some() { span.chip.busy { "being emptied" } " " }
                    @if node.alive { span.chip.good { "alive" } }
                    @else { span.chip.bad { "silent" } }
                }
            }
            p.small { (promised(node)) }
            @if let Some(drain) = &node.drain { p.small { (emptying(drain)) } }
            p.soft.small title=(node.node) { "last heard of " (words::moment(node.seen)) }
            @if let Some(isolation) = &node.isolation { p.small { (isolation.in_words()) } }
            h3 { "Replicas" }
            @if node.replicas.is_empty() { p.soft { "It runs nothing." } }
            div.jobs { @for replica in &node.replicas { (replica_row(replica, names)) } }
            h3 { "Releases" }
            @if node.releases.is_empty() { p.soft { "It has nothing." } }
            div.jobs { @for report in &node.releases {
                @let title = format!("{} {}", report.service, report.digest.short());
                (releases::report_row(&title, report))
            } }
            @if node.drain.is_none() {
                (form(&person.form_token, &format!("/operate/nodes/{}/drain", node.node), html! {
                    button.quiet { "Move its instances away" }
                }))
            } @else {
                (form(&person.form_token, &format!("/operate/nodes/{}/refill", node.node), html! {
                    button.quiet { "Let it take instances again" }
                }))
            }
            div.jobs { details {
                summary { span { "Remove this node" } }
                p.soft.small {
                    "Its key is worth nothing from then on, and what can move runs elsewhere. "
                    "The machine can join again with a new token."
                }
                (form(&person.form_token, &removal, html! {
                    @if node.promised.instances > 0 {
                        label.option {
                            input type="checkbox" name="force" value="yes";
                            span.what { "Also if that closes instances whose data is on it" }
                        }
                    }
                    button.danger { "Remove " (node.name) }
                }))
            } }
        }
    }
}

/// What it is, and what instances are promised there.
fn promised(node: &Node) -> String {
    let Node { machine, promised, .. } = node;
    let labels = machine.labels.iter().map(|(name, value)| format!("{name}={value} · "));
    let of = machine.memory.map_or_else(String::new, |bytes| format!(" of {}", bytes >> 20));
    format!(
        "{}{} promised {}{of} MiB of memory",
        labels.collect::<String>(),
        words::counted(promised.instances.into(), "instance"),
        promised.memory >> 20
    )
}

/// How far it is emptied, in a sentence.
fn emptying(drain: &Drain) -> String {
    let left = words::counted(drain.left.into(), "instance");
    let stays = words::counted(drain.stays.len() as u64, "instance");
    let waits_for = drain.waits_for.as_ref();
    let waits_for = waits_for.map_or_else(String::new, |what| format!(", waiting for {what}"));
    format!("{left} to move{waits_for}; {stays} to stay, with data on this node.")
}

fn replica_row(replica: &ReplicaReport, names: &Names) -> Markup {
    html! {
        details id=(replica.replica) open[replica.state.has_failed()] {
            summary {
                span {
                    (replica.service) " "
                    @if replica.is_web() { code.small { (replica.address) } }
                    @else { (replica.process) }
                }
                (states::chip(&replica.state))
                span.soft.small.end { (words::counted(u64::from(replica.starts), "start")) }
            }
            p.soft.small title=(replica.replica) {
                "release " code { (replica.digest.short()) }
                @if let Some(instance) = replica.instance { ", only for " (names.host(instance)) }
                @else { ", for all instances" }
            }
            @if let Some(fate) = replica.fate(SystemClock.now()) { p { (fate) } }
            (words::printed(&replica.log, None))
        }
    }
}
