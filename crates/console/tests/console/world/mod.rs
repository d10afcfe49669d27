//! A platform small enough to see through: it answers the operations that the console asks for
//! from a handful of documents, and can be told to refuse.

pub(crate) mod data;
mod peer;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use api::{
    Client, Empty, Kind, Problem, Transport, access, billing, configurator, http::Sending,
    identity, jobs, provider, releases,
};
use axum::Router;
use bytes::Bytes;
use http::Request;
use types::{JobId, Name, OrderId, Page, Resource, Secret};

use peer::{Asked, Peer};

pub(crate) const TOKEN: &str = "customer.token.signature";
pub(crate) const OPERATOR_TOKEN: &str = "operator.token.signature";

/// What the platform was asked to change: the permission and its idempotency key.
type Changes = Vec<(String, Option<String>)>;

#[derive(Default)]
struct State {
    refusals: BTreeMap<String, Problem>,
    changes: Changes,
    orders: Vec<provider::Order>,
    by_key: BTreeMap<String, OrderId>,
    ended: BTreeSet<String>,
    granted: Option<Vec<access::OwnGrant>>,
    update: Option<releases::InstanceUpdate>,
}

/// The platform, as a transport that the console's client sends through.
#[derive(Clone)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
    peer: Arc<Peer>,
}

impl Transport for World {
    fn send(&self, request: Request<Bytes>) -> Sending<'_> {
        Box::pin(async move { Ok(self.peer.answer(&request)) })
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let state = Arc::new(Mutex::new(State { orders: data::orders(), ..State::default() }));
        let mut peer = Peer::new(Arc::clone(&state));
        identity(&mut peer);
        access(&mut peer);
        provider(&mut peer);
        configurator(&mut peer);
        billing(&mut peer);
        jobs(&mut peer);
        releases(&mut peer);
        Self { state, peer: Arc::new(peer) }
    }

    /// The console in front of it.
    pub(crate) fn console(&self) -> Router {
        let credentials: Arc<dyn api::Credentials> = Arc::new(None::<Arc<str>>);
        let client = Client::new(Arc::new(self.clone()), credentials);
        console::router(console::Config {
            client,
            domain: "localhost".into(),
            site: types::Site::http(8080),
            clock: Arc::new(types::ManualClock::at(data::NOON)),
        })
    }

    /// From now on, `permission` is refused.
    pub(crate) fn refuse(&self, permission: &str, problem: Problem) {
        self.state.lock().unwrap().refusals.insert(permission.into(), problem);
    }

    /// From now on, whoever asks has these grants and no others.
    pub(crate) fn grant_only(&self, grants: Vec<access::OwnGrant>) {
        self.state.lock().unwrap().granted = Some(grants);
    }

    /// From now on, each instance has this update.
    pub(crate) fn update_is(&self, update: Option<releases::Update>) {
        self.state.lock().unwrap().update = Some(releases::InstanceUpdate { update });
    }

    /// From now on, no session is worth anything.
    pub(crate) fn end_sessions(&self) {
        self.state.lock().unwrap().ended.extend([TOKEN, OPERATOR_TOKEN].map(str::to_owned));
    }

    /// What was asked to be changed so far.
    pub(crate) fn changes(&self) -> Changes {
        self.state.lock().unwrap().changes.clone()
    }

    /// How many orders there are.
    pub(crate) fn orders(&self) -> usize {
        self.state.lock().unwrap().orders.len()
    }
}

fn page<T>(items: Vec<T>) -> Page<T> {
    Page { items, next: None }
}

fn identity(peer: &mut Peer) {
    peer.on(|asked: Asked<'_>, _: identity::WhoAmI| {
        let user = asked.user().ok_or_else(Asked::nobody)?;
        let principal = types::Principal::User(user.user);
        Ok(identity::Me { principal, user: Some(user), session: Some(data::session()) })
    });
    peer.on(|_, op: identity::RemoveNode| {
        let refused = || Problem::conflict("node_in_use", "instances are placed there");
        op.force.then_some(Empty {}).ok_or_else(refused)
    });
    peer.on(|asked, op: identity::SignIn| {
        if op.password.reveal() != data::PASSWORD {
            let detail = "the e-mail address or the password is wrong";
            return Err(Problem::new(Kind::Unauthenticated, "sign_in_refused", detail));
        }
        let (token, user) = match op.email.as_str() {
            data::OPERATOR => (OPERATOR_TOKEN, data::operator()),
            _ => (TOKEN, data::ada()),
        };
        asked.state().ended.remove(token);
        let expires = data::NOON;
        Ok(identity::SignedIn {
            token: Secret::new(token),
            session: data::session(),
            user,
            expires,
        })
    });
    peer.on(|asked: Asked<'_>, op: identity::CreateSignInCode| {
        asked.user().ok_or_else(Asked::nobody)?;
        assert_eq!(op.host.as_str(), "bakery-forum.localhost");
        Ok(identity::SignInCode { code: Secret::new("once"), expires: data::NOON })
    });
    peer.on(|asked, _: identity::SignOut| {
        let token = asked.token.unwrap_or("").to_owned();
        asked.state().ended.insert(token);
        Ok(Empty {})
    });
    peer.on(|_, _: identity::RegisterAccount| {
        Ok(identity::Registered { account: data::account(), user: data::ada().user })
    });
    peer.on(|_, op: identity::GetAccount| {
        let title = "Corner Bakery".into();
        Ok(identity::Account { account: op.account, title, created: data::BEGINNING })
    });
    peer.on(|_, _: identity::ListAccounts| Ok(page(data::accounts())));
    peer.on(|_, _: identity::ListUsers| Ok(page(data::users())));
    peer.on(|_, op: identity::FindUser| {
        let found = data::users().into_iter().find(|user| user.email == op.email);
        found.ok_or_else(|| Problem::not_found("user"))
    });
    peer.on(|asked: Asked<'_>, op: identity::GetNames| {
        let is_operator = asked.user().is_some_and(|user| user.account.is_none());
        let people = [data::users(), vec![data::operator()]].concat();
        let users = people.into_iter().filter(|user| op.users.contains(&user.user));
        let accounts = data::accounts().into_iter().filter(|it| op.accounts.contains(&it.account));
        let nodes =
            data::nodes().into_iter().filter(|node| is_operator && op.nodes.contains(&node.node));
        Ok(identity::Names {
            users: users.map(|user| (user.user, user.email)).collect(),
            accounts: accounts.map(|account| (account.account, account.title)).collect(),
            nodes: nodes.map(|node| (node.node, node.name)).collect(),
        })
    });
    peer.on(|_, op: identity::CreateUser| Ok(identity::User { email: op.email, ..data::ada() }));
}

fn access(peer: &mut Peer) {
    peer.on(|_, _: access::ListPermissions| Ok(page(data::permissions())));
    peer.on(|_, _: access::ListGrants| Ok(page(data::grants())));
    peer.on(|_, _: access::ListPlatformGrants| Ok(page(data::platform_grants())));
    peer.on(|asked: Asked<'_>, _: access::ListOwnGrants| {
        let is_operator = asked.user().is_some_and(|user| user.account.is_none());
        let granted = asked.state().granted.clone();
        let all = || if is_operator { data::operators_grants() } else { data::adas_grants() };
        Ok(page(granted.unwrap_or_else(all)))
    });
    peer.on(|_, op: access::CreateGrant| {
        let access::CreateGrant { principal, given, on, .. } = op;
        Ok(access::Grant { principal, given, on, ..data::grants().remove(0) })
    });
    peer.on(|_, _: access::RevokeGrant| Ok(access::Revoked { revision: 7 }));
    peer.on(|_, op: access::CheckPermission| {
        let may = op.permission.as_str() == "forum.addUsers";
        Ok(data::decision(may))
    });
    peer.on(|_, _: access::ListAudit| Ok(page(data::audit())));
}

fn provider(peer: &mut Peer) {
    peer.on(|_, _: provider::ListOffers| Ok(page(data::offers())));
    peer.on(|_, op: provider::GetOffer| {
        let found = data::offers().into_iter().find(|offer| offer.service == op.service);
        found.ok_or_else(|| Problem::not_found("service on offer"))
    });
    peer.on(|asked, op: provider::PlaceOrder| {
        let mut state = asked.state();
        if let Some(order) = asked.key.and_then(|key| state.by_key.get(key)) {
            return Ok(state.orders.iter().find(|known| known.order == *order).unwrap().clone());
        }
        if op.host.as_str() == "taken.localhost" {
            let detail = "the host `taken.localhost` is taken already; choose another one";
            return Err(Problem::conflict("host_already_taken", detail));
        }
        let order = data::order_of(&op, state.orders.len());
        if let Some(key) = asked.key {
            state.by_key.insert(key.to_owned(), order.order);
        }
        state.orders.insert(0, order.clone());
        Ok(order)
    });
    peer.on(|asked, op: provider::GetOrder| {
        let found = asked.state().orders.iter().find(|order| order.order == op.order).cloned();
        found.ok_or_else(|| Problem::not_found("order"))
    });
    peer.on(|asked, _: provider::ListOrders| Ok(page(asked.state().orders.clone())));
    peer.on(|asked, _: provider::ChangeSubscription| Ok(asked.state().orders[0].clone()));
    peer.on(|_, _: provider::SuspendInstance| Ok(Empty {}));
}

fn configurator(peer: &mut Peer) {
    peer.on(|_, op: configurator::GetInstance| {
        let found = data::instances().into_iter().find(|known| known.instance == op.instance);
        found.ok_or_else(|| Problem::not_found("instance"))
    });
    peer.on(|_, _: configurator::ListInstances| Ok(page(data::instances())));
    peer.on(|_, op: configurator::GetHosts| {
        let known = data::instances().into_iter().filter(|it| op.instances.contains(&it.instance));
        Ok(configurator::Hosts { hosts: known.map(|it| (it.instance, it.host)).collect() })
    });
    peer.on(|_, op: configurator::GetSetup| Ok(data::setup(op.instance)));
    peer.on(|_, op: configurator::RotateSecret| {
        let known = op.secret == "SECRET_KEY";
        known.then_some(Empty {}).ok_or_else(|| Problem::not_found("secret"))
    });
    peer.on(|_, _: configurator::SetMaintenance| Ok(configurator::Maintenance { revision: 3 }));
}

fn billing(peer: &mut Peer) {
    peer.on(|_, op: billing::GetPriceBook| {
        data::book(op.service.as_str()).ok_or_else(|| Problem::not_found("price book"))
    });
    peer.on(|_, op: billing::GetBill| Ok(data::bill(op.month)));
    peer.on(|_, op: billing::ExplainLine| {
        data::explanation(&op.line).ok_or_else(|| Problem::not_found("line"))
    });
    peer.on(|_, _: billing::VerifyBill| Ok(data::verification(0)));
    peer.on(|_, op: billing::GetVerification| {
        let now = op.month.is_none().then(|| data::verification(148_209));
        now.ok_or_else(|| Problem::not_found("verification"))
    });
}

fn jobs(peer: &mut Peer) {
    let known = |job: JobId| {
        let found = data::jobs().into_iter().find(|known| known.job == job);
        found.ok_or_else(|| Problem::not_found("job"))
    };
    peer.on(|_, op: jobs::ListInstanceJobs| Ok(page(data::jobs_that_are(op.state))));
    peer.on(|_, op: jobs::ListJobs| Ok(page(data::jobs_that_are(op.state))));
    peer.on(move |_, op: jobs::GetJob| known(op.job));
    peer.on(move |_, op: jobs::GetInstanceJob| known(op.job));
    peer.on(move |_, op: jobs::CancelJob| known(op.job));
    peer.on(move |_, op: jobs::ReplayJob| known(op.job));
    peer.on(|_, op: jobs::RunCommand| match op.command[0].as_str() {
        "./run" => Ok(jobs::Enqueued { jobs: vec![data::jobs()[0].job] }),
        _ => Err(Problem::invalid("no_such_command", "`store` runs only `./run` once")),
    });
    peer.on(|_, _: jobs::ReplayJobs| Ok(jobs::Replayed { replayed: 1 }));
    peer.on(|_, _: jobs::ListQueues| Ok(page(data::queues())));
    let queue = |service: &Name, class: &str| {
        let found =
            data::queues().into_iter().find(|it| it.service == *service && it.class == class);
        found.ok_or_else(|| Problem::not_found("queue"))
    };
    peer.on(move |_, op: jobs::GetQueue| {
        let queue = queue(&op.service, &op.class)?;
        Ok(jobs::QueueDetail { kinds: data::kinds(&queue), queue })
    });
    peer.on(move |_, op: jobs::SetQueue| queue(&op.service, &op.class));
}

fn releases(peer: &mut Peer) {
    peer.on(|_, _: releases::ListServices| Ok(page(data::services())));
    peer.on(|_, op: releases::ListReleases| Ok(page(data::releases(&op.service))));
    peer.on(|_, op: releases::ListRollouts| Ok(page(data::rollouts(&op.service))));
    peer.on(|_, op: releases::GetRollout| {
        data::record(&op.service, op.number).ok_or_else(|| Problem::not_found("rollout"))
    });
    peer.on(|_, op: releases::PreviewRelease| Ok(data::preview(&op.service, &op.release)));
    peer.on(|asked: Asked<'_>, op: releases::GetUpdate| {
        let said = asked.state().update.clone();
        let update = data::update(op.instance);
        Ok(said.unwrap_or(releases::InstanceUpdate { update }))
    });
    peer.on(|_, _: releases::ListNodes| Ok(page(data::nodes())));
    let node = |node| {
        let found = data::nodes().into_iter().find(|known| known.node == node);
        found.ok_or_else(|| Problem::not_found("node"))
    };
    peer.on(move |_, op: releases::DrainNode| node(op.node));
    peer.on(move |_, op: releases::RefillNode| node(op.node));
}

/// What the customer's own operations act on; anything else of a customer is not theirs to know.
fn is_foreign(resource: &Resource) -> bool {
    match resource {
        Resource::Account(account) | Resource::Instance(account, _) => *account != data::account(),
        _ => false,
    }
}
