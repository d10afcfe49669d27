//! Taking an instance of a service.

use std::collections::BTreeSet;

use api::{
    configurator::{GetInstance, Instance, InstanceState},
    provider::{self, GetOrder, GetQuota, ListOrders, OrderPhase, PlaceOrder, SetQuota},
};
use clap::{Args, Subcommand};
use types::{AccountId, Host, InstanceId, Name, OrderId};

use super::{
    Failure, Outcome,
    context::Context,
    failure::failed,
    output::{Limit, Table, Whose, moment, names, record, word},
    progress::Progress,
    standing,
};

/// Take an instance of a service
#[derive(Debug, Args)]
pub(crate) struct Order {
    #[command(subcommand)]
    verb: OrderVerb,
}

#[derive(Debug, Subcommand)]
enum OrderVerb {
    /// Place an order
    ///
    /// With `--wait` it shows each phase as it happens and ends when the instance waits for its
    /// set-up, or answers if nothing is asked; `--json` then prints the instance instead of the order.
    #[command(after_help = "Example:
  mandate order place forum --modules polls,search --size small \\
    --host bakery-forum.localhost --wait")]
    Place(Place),
    /// Show how far an order is
    Show {
        /// Which order
        order: OrderId,
        /// Wait until its instance is there; `--json` then prints the instance
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        whose: Whose,
    },
    /// Show how much an account may order, or say so; for operators
    Quota {
        /// How many instances it may have
        #[arg(long)]
        instances: Option<u32>,
        /// How many orders and changes it may place within any hour
        #[arg(long)]
        orders_an_hour: Option<u32>,
        #[command(flatten)]
        whose: Whose,
    },
    /// List the orders, newest first
    List {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        limit: Limit,
    },
}

#[derive(Debug, Args)]
struct Place {
    /// Of which service
    service: Name,
    /// How big; `mandate offer show SERVICE` names the sizes
    #[arg(long)]
    size: String,
    /// At which host name
    #[arg(long)]
    host: Host,
    /// With which modules, separated by commas; none if absent
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    modules: Vec<String>,
    /// On which plan; the only one if there is just one
    #[arg(long)]
    plan: Option<String>,
    /// Show the phases until the instance waits for its set-up
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    whose: Whose,
}

impl Order {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            OrderVerb::Place(place) => place.run(cx).await,
            OrderVerb::Show { order, wait, whose } => {
                let account = cx.account(whose.account).await?;
                let mut progress = Progress::begin(cx);
                let order = cx.ask(GetOrder { account, order }).await?;
                if wait {
                    seen_through(cx, &mut progress, order).await
                } else {
                    cx.show(&order, shown)
                }
            }
            OrderVerb::Quota { instances, orders_an_hour, whose } => {
                let account = cx.account(whose.account).await?;
                if instances.is_some() || orders_an_hour.is_some() {
                    cx.ask(SetQuota { account, instances, orders_an_hour }).await?;
                }
                cx.show(&cx.ask(GetQuota { account }).await?, |quota| {
                    record(&[
                        ("instances", Some(quota.instances.to_string())),
                        ("orders an hour", Some(quota.orders_an_hour.to_string())),
                    ])
                })
            }
            OrderVerb::List { whose, limit } => {
                let account = cx.account(whose.account).await?;
                let page = |after, limit| ListOrders { account, after, limit };
                let orders = cx.list(limit.limit, page).await?;
                let empty =
                    "No order yet; `mandate order place SERVICE --size S --host H` takes one.";
                cx.show_list(&orders, empty, |orders| {
                    let headings =
                        ["ORDER", "SERVICE", "HOST", "SIZE", "MODULES", "PHASE", "PLACED"];
                    Table::of(&headings, orders, |table, order| {
                        let (service, host, size) = (&order.service, &order.host, &order.size);
                        let (phase, placed) = (word(&order.phase), moment(order.created));
                        let modules = names(&order.modules);
                        table.row([&order.order, service, host, size, &modules, &phase, &placed]);
                    })
                })
            }
        }
    }
}

impl Place {
    async fn run(self, cx: &Context) -> Outcome {
        let account = cx.account(self.whose.account).await?;
        let mut progress = Progress::begin(cx);
        let Self { service, plan, size, host, .. } = self;
        let modules: BTreeSet<String> =
            self.modules.into_iter().filter(|name| !name.is_empty()).collect();
        let order = cx.ask(PlaceOrder { account, service, plan, modules, size, host }).await?;
        if self.wait {
            return seen_through(cx, &mut progress, order).await;
        }
        cx.show(&order, |order| {
            format!(
                "{}\n\n`mandate order show {} --wait` shows how it goes.",
                shown(order),
                order.order
            )
        })
    }
}

/// Waits until an order is complete and its instance is there, and prints the instance.
async fn seen_through(cx: &Context, progress: &mut Progress, order: provider::Order) -> Outcome {
    complete(cx, progress, &order).await?;
    let (account, instance) = (order.account, order.instance);
    let instance = made(cx, progress, account, instance).await?;
    if instance.state == InstanceState::Open {
        standing::answers(cx, progress, account, instance.instance).await?;
    }
    cx.show(&instance, |instance| format!("\n{}", standing::shown(instance)))
}

/// Waits until everybody has been told of an order.
pub(super) async fn complete(
    cx: &Context,
    progress: &mut Progress,
    order: &provider::Order,
) -> Outcome {
    let (account, order) = (order.account, order.order);
    let look = || cx.ask(GetOrder { account, order });
    let done = |progress: &mut Progress, order: provider::Order| {
        progress.say(match order.phase {
            OrderPhase::Placed => "the order is placed",
            OrderPhase::Agreed => "billing agrees to what is taken",
            OrderPhase::Complete => "the configurator knows it too: the order is complete",
            OrderPhase::Undoing => "the order was refused and is undone",
            OrderPhase::Failed => "the order failed",
        })?;
        match order.phase {
            OrderPhase::Complete => Ok(Some(())),
            OrderPhase::Failed => Err(failed("the order failed", order.problem)),
            OrderPhase::Placed | OrderPhase::Agreed | OrderPhase::Undoing => Ok(None),
        }
    };
    progress.until(look, done).await
}

async fn made(
    cx: &Context,
    progress: &mut Progress,
    account: AccountId,
    instance: InstanceId,
) -> Result<Instance, Failure> {
    let look = || cx.ask(GetInstance { account, instance });
    let done = |progress: &mut Progress, instance: Instance| {
        // That it is open is said when it answers.
        if instance.state != InstanceState::Open {
            progress.say(standing::state_sentence(instance.state))?;
        }
        match instance.state {
            InstanceState::Creating | InstanceState::SettingUp => Ok(None),
            InstanceState::Failed => Err(failed("the instance failed", instance.problem)),
            InstanceState::AwaitingSetup | InstanceState::Open => Ok(Some(instance)),
        }
    };
    progress.until(look, done).await
}

/// An order for people.
pub(super) fn shown(order: &provider::Order) -> String {
    record(&[
        ("order", Some(order.order.to_string())),
        ("instance", Some(order.instance.to_string())),
        ("service", Some(order.service.to_string())),
        ("host", Some(order.host.to_string())),
        ("plan", Some(order.plan.clone())),
        ("size", Some(order.size.clone())),
        ("modules", Some(names(&order.modules))),
        ("phase", Some(word(&order.phase))),
        ("problem", order.problem.clone()),
        ("placed", Some(moment(order.created))),
    ])
}
