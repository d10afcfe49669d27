//! The nodes, what each has and what it runs.

use api::{
    configurator::{GetHosts, Hosts},
    identity::RemoveNode,
    releases::{Drain, ListNodes, Node, ReplicaReport, ReplicaState},
};
use axum::{
    extract::{Path, Query},
    response::{IntoResponse as _, Redirect},
};
use maud::{Markup, html};
use types::NodeId;

use crate::{
    answer::{Answer, Page, Shown},
    form::form,
    layout,
    pages::{Paging, ROWS, releases},
    states,
    states::Said as _,
    visitor::Person,
    words,
};

/// So many hosts are told at once.
const HOSTS_MAX: usize = 500;

pub(crate) async fn list(person: Person, Query(Paging { after }): Query<Paging>) -> Shown {
    let page = person.client.call(ListNodes { after, limit: ROWS }).await?;
    let is_going = page.items.iter().any(is_going);
    let replicas = page.items.iter().flat_map(|node| &node.replicas);
    let instances = replicas.filter_map(|replica| replica.instance).take(HOSTS_MAX).collect();
    // What is not told is shown by its id.
    let hosts = person.client.call(GetHosts { instances }).await.unwrap_or_default();
    let content = html! {
        header.title { h1 { "Nodes" } }
        @if page.items.is_empty() {
            (layout::nothing("No machine has joined yet. `mandate agent --join` does it."))
        }
        @for node in &page.items { (card(&person, node, &hosts)) }
        (layout::more("/operate/nodes", page.next.as_deref()))
    };
    Ok(Page::new("Nodes", layout::live("/operate/nodes", is_going, content)).going(is_going))
}

fn is_going(node: &Node) -> bool {
    let replicas = node.replicas.iter().any(|replica| replica.state == ReplicaState::Starting);
    let busy = node.releases.iter().any(|report| report.state.said().1 == states::Tone::Busy);
    node.alive && (replicas || busy)
}

/// The node is gone from there on, wherever its key was known.
pub(crate) async fn remove(person: Person, Path(node): Path<NodeId>) -> Answer {
    person.client.call(RemoveNode { node, force: false }).await?;
    Ok(Redirect::to("/operate/nodes").into_response())
}

fn card(person: &Person, node: &Node, hosts: &Hosts) -> Markup {
    let removal = format!("/operate/nodes/{}/removal", node.node);
    html! {
        section.card {
            h2.heading {
                span { (node.name) }
                @if node.alive { span.chip.good { "alive" } } @else { span.chip.bad { "silent" } }
                @if node.drain.is_some() { span.chip.busy { "being emptied" } }
            }
            p.small { (promised(node)) }
            @if let Some(drain) = &node.drain { p.small { (emptying(drain)) } }
            p.soft.small { "last heard of " (words::moment(node.seen)) " · " code { (node.node) } }
            h3 { "Replicas" }
            @if node.replicas.is_empty() { p.soft { "It runs nothing." } }
            div.jobs { @for replica in &node.replicas { (replica_row(replica, hosts)) } }
            h3 { "Releases" }
            @if node.releases.is_empty() { p.soft { "It has nothing." } }
            div.jobs { @for report in &node.releases {
                @let title = format!("{} {}", report.service, report.digest.short());
                (releases::report_row(&title, report))
            } }
            (form(&person.form_token, &removal, html! {
                button.link.danger { "Take its key from it" }
            }))
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

fn replica_row(replica: &ReplicaReport, hosts: &Hosts) -> Markup {
    html! {
        details id=(replica.replica) open[replica.state == ReplicaState::Failing] {
            summary {
                span {
                    (replica.service) " "
                    @if replica.serves() { code.small { (replica.address) } }
                    @else { (replica.process) }
                }
                (states::chip(&replica.state))
                span.soft.small.end { (words::counted(u64::from(replica.starts), "start")) }
            }
            p.soft.small {
                code { (replica.replica) } ", release " code { (replica.digest.short()) }
                @match replica.instance.map(|id| (id, hosts.hosts.get(&id))) {
                    Some((_, Some(host))) => { ", only for " (host) }
                    Some((instance, None)) => { ", only for " code { (instance) } }
                    None => { ", for all instances" }
                }
            }
            (words::printed(&replica.log, None))
        }
    }
}
