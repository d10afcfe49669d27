//! Instances.

use api::{
    configurator::{
        self, InstanceState, ListAllInstances, ListInstances, RotateSecret, SetFreeze,
        SetMaintenance,
    },
    jobs::ListInstanceJobs,
    provider::{ChangeSubscription, SuspendInstance},
    releases::Update,
};
use clap::{Args, Subcommand};
use types::Timestamp;

use super::{
    Outcome, command,
    context::Context,
    job,
    names::Ids,
    order,
    output::{Limit, Table, Whose, moment, names, word},
    progress::Progress,
    setup::SetUp,
    standing,
    target::Which,
};

/// Instances: set up, change, suspend, close for maintenance
#[derive(Debug, Args)]
#[command(after_help = "An instance is named by its host or its id; an operator may name any.")]
pub(crate) struct Instance {
    #[command(subcommand)]
    verb: InstanceVerb,
}

#[derive(Debug, Subcommand)]
enum InstanceVerb {
    /// List the instances
    List {
        /// Those of all accounts; for operators
        #[arg(long, conflicts_with = "account")]
        all: bool,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show an instance
    Show(Which),
    /// Show what the set-up asks for, or set the instance up, once
    #[command(after_help = "Examples:
  mandate instance setup bakery-forum.localhost
  mandate instance setup bakery-forum.localhost admin_email=ada@bakery.example --wait")]
    Setup(SetUp),
    /// Take another size, other modules, or both, from now on
    #[command(after_help = "Example:
  mandate instance change bakery-forum.localhost --modules polls,badges --wait")]
    Change(Change),
    /// Suspend an instance; for operators
    Suspend {
        #[command(flatten)]
        which: Which,
        /// Why, as its visitors will read it
        #[arg(long)]
        reason: String,
    },
    /// Let a suspended instance go on; for operators
    Resume(Which),
    /// Close an instance for maintenance, or open it again with `--end`
    ///
    /// When this returns, every gateway does so.
    Maintenance {
        #[command(flatten)]
        which: Which,
        /// Why, as its visitors will read it
        #[arg(long, conflicts_with = "end", default_value = "Back in a moment")]
        reason: String,
        /// Open it again
        #[arg(long)]
        end: bool,
    },
    /// Keep an instance on its release until a moment, whatever is promoted, or let it move again
    #[command(after_help = "Examples:
  mandate instance freeze bakery-store.localhost --until 2026-12-27T06:00:00Z
  mandate instance freeze bakery-store.localhost --end")]
    Freeze {
        #[command(flatten)]
        which: Which,
        /// Until when, at most 90 days from now
        #[arg(long, value_name = "TIME", conflicts_with = "end", required_unless_present = "end")]
        until: Option<Timestamp>,
        /// Let it move again
        #[arg(long)]
        end: bool,
    },
    /// Make a secret of an instance anew; its processes start anew with it
    #[command(after_help = "Example:
  mandate instance rotate bakery-store.localhost SECRET_KEY")]
    Rotate {
        #[command(flatten)]
        which: Which,
        /// Which secret: a name under `[secrets]` of the service's manifest
        #[arg(value_name = "SECRET")]
        secret: String,
    },
    /// Run a command of the application once, and end as it ends
    #[command(after_help = "Example:
  mandate instance run bakery-shop.localhost -- ./manage.py createsuperuser --noinput")]
    Run(command::Command),
    /// List the jobs of an instance, newest first
    Jobs {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        limit: Limit,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
struct Change {
    #[command(flatten)]
    which: Which,
    /// How big it shall be; as it is if absent
    #[arg(long, group = "what")]
    size: Option<String>,
    /// All modules that it shall have, separated by commas, `''` for none; as they are if absent
    #[arg(long, group = "what", value_delimiter = ',', value_name = "A,B")]
    modules: Option<Vec<String>>,
    /// Wait until everybody has been told
    #[arg(long)]
    wait: bool,
}

impl Instance {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            InstanceVerb::List { all: true, limit, .. } => list_all(cx, limit).await,
            InstanceVerb::List { whose, limit, .. } => list(cx, whose, limit).await,
            InstanceVerb::Show(Which { instance, account }) => {
                let instance = cx.instance(account, &instance).await?;
                show(cx, &instance).await
            }
            InstanceVerb::Setup(setup) => setup.run(cx).await,
            InstanceVerb::Change(change) => change.run(cx).await,
            InstanceVerb::Suspend { which, reason } => suspend(cx, which, Some(reason)).await,
            InstanceVerb::Resume(which) => suspend(cx, which, None).await,
            InstanceVerb::Maintenance { which, reason, end } => {
                maintain(cx, which, (!end).then_some(reason)).await
            }
            InstanceVerb::Freeze { which, until, .. } => freeze(cx, which, until).await,
            InstanceVerb::Rotate { which, secret } => rotate(cx, which, secret).await,
            InstanceVerb::Run(command) => command.run(cx).await,
            InstanceVerb::Jobs { which, limit } => jobs(cx, which, limit).await,
        }
    }
}

async fn list(cx: &Context, whose: Whose, limit: Limit) -> Outcome {
    let account = cx.account(whose.account).await?;
    let page = |after, limit| ListInstances { account, after, limit };
    let instances = cx.list(limit.limit, page).await?;
    cx.show_list(&instances, NONE_YET, |instances| {
        Table::of(&["HOST", "SERVICE", "SIZE", "MODULES", "STATE"], instances, |table, it| {
            let (modules, state) = (names(&it.modules), states(it));
            table.row([&it.host, &it.service, &it.size, &modules, &state]);
        })
    })
}

const NONE_YET: &str =
    "No instance yet; `mandate order place SERVICE --size S --host H` takes one.";

async fn list_all(cx: &Context, limit: Limit) -> Outcome {
    let page = |after, limit| ListAllInstances { after, limit };
    let instances = cx.list(limit.limit, page).await?;
    let accounts = instances.items.iter().map(|it| it.account).collect();
    let called = cx.names(Ids { accounts, ..Ids::default() }).await;
    cx.show_list(&instances, NONE_YET, |instances| {
        let headings = ["ACCOUNT", "HOST", "SERVICE", "SIZE", "MODULES", "STATE"];
        Table::of(&headings, instances, |table, it| {
            let (account, modules) = (called.account(it.account), names(&it.modules));
            table.row([&account, &it.host, &it.service, &it.size, &modules, &states(it)]);
        })
    })
}

async fn show(cx: &Context, instance: &configurator::Instance) -> Outcome {
    let configurator::Instance { account, instance: id, state, .. } = instance;
    let not_yet = match state {
        InstanceState::Open => standing::not_yet(cx, *account, *id).await,
        _ => None,
    };
    let update = standing::update(cx, *account, *id).await;
    cx.show(&WithUpdate { instance, update }, |it| {
        let coming = it.update.as_ref().and_then(|update| standing::coming(update, instance));
        let not_yet = not_yet.map(|what| format!("Nothing answers: it waits for {what}."));
        let parts = [Some(standing::shown(instance)), coming, not_yet];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    })
}

/// What `instance show` says.
#[derive(Debug, serde::Serialize)]
struct WithUpdate<'i> {
    #[serde(flatten)]
    instance: &'i configurator::Instance,
    /// The version that it comes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<Update>,
}

async fn suspend(cx: &Context, which: Which, reason: Option<String>) -> Outcome {
    let (account, instance) = cx.instance_id(which.account, &which.instance).await?;
    let done = if reason.is_some() { "is suspended" } else { "goes on" };
    let reply = cx.ask(SuspendInstance { account, instance, reason }).await?;
    cx.show(&reply, |_| format!("{} {done}.", which.instance))
}

async fn maintain(cx: &Context, which: Which, reason: Option<String>) -> Outcome {
    let (account, instance) = cx.instance_id(which.account, &which.instance).await?;
    let done = if reason.is_some() { "is closed for maintenance" } else { "is open again" };
    let reply = cx.ask(SetMaintenance { account, instance, reason }).await?;
    cx.show(&reply, |_| format!("{} {done}, at every gateway.", which.instance))
}

async fn freeze(cx: &Context, which: Which, until: Option<Timestamp>) -> Outcome {
    let (account, instance) = cx.instance_id(which.account, &which.instance).await?;
    let reply = cx.ask(SetFreeze { account, instance, until }).await?;
    cx.show(&reply, |_| match until {
        Some(until) => format!("{} stays on its release until {}.", which.instance, moment(until)),
        None => format!("{} moves with the others again.", which.instance),
    })
}

async fn rotate(cx: &Context, which: Which, secret: String) -> Outcome {
    let (account, instance) = cx.instance_id(which.account, &which.instance).await?;
    let done = format!(
        "`{secret}` of {} is another from now on; its processes start anew with it.",
        which.instance
    );
    let reply = cx.ask(RotateSecret { account, instance, secret }).await?;
    cx.show(&reply, |_| done.clone())
}

async fn jobs(cx: &Context, which: Which, limit: Limit) -> Outcome {
    let (account, instance) = cx.instance_id(which.account, &which.instance).await?;
    let page = |after, limit| {
        let (state, name) = (None, None);
        ListInstanceJobs { account, instance, state, name, after, limit }
    };
    let jobs = cx.list(limit.limit, page).await?;
    let empty = "No job yet; `mandate instance setup INSTANCE` begins with the first ones.";
    let called = job::names(cx, &jobs.items).await;
    cx.show_list(&jobs, empty, |jobs| job::table(jobs, &called))
}

impl Change {
    async fn run(self, cx: &Context) -> Outcome {
        let which = &self.which;
        let (account, instance) = cx.instance_id(which.account, &which.instance).await?;
        let wanted = self.modules.map(|names| names.into_iter().filter(|name| !name.is_empty()));
        let (modules, size) = (wanted.map(Iterator::collect), self.size);
        let change = ChangeSubscription { account, instance, modules, size, builds_on: None };
        let mut progress = Progress::begin(cx);
        let mut order = cx.ask(change).await?;
        if self.wait {
            order::complete(cx, &mut progress, &order).await?;
            order = cx.ask(api::provider::GetOrder { account, order: order.order }).await?;
        }
        let gap = if self.wait { "\n" } else { "" };
        cx.show(&order, |order| format!("{gap}{}", order::shown(order)))
    }
}

fn states(instance: &configurator::Instance) -> String {
    let state = word(&instance.state);
    match (&instance.suspended, &instance.maintenance) {
        (Some(_), _) => format!("{state}, suspended"),
        (None, Some(_)) => format!("{state}, maintenance"),
        (None, None) => state,
    }
}
