//! Instances: what each is, and what its gateway is told.

use std::time::Duration;

use api::{
    Empty, Kind, Operation as _,
    configurator::{
        FindInstance, GetHosts, GetInstance, Hosts, Instance, InstanceState, ListAllInstances,
        ListInstances, Maintenance, PutInstance, RepeatInstances, SetFreeze, SetMaintenance,
        SetSuspension, SubmitSetup,
    },
};
use chassis::{Call, Seal, Write, random_secret};
use types::{AccountId, Cursor, Digest, Host, InstanceId, Page, Resource};

use crate::{
    Error, State,
    model::instance::{check_offered, check_same, is_already, route, takes_setup},
    moves,
    store::{self, Stored},
};

const REASON_LENGTH_MAX: usize = 500;
/// A publisher has to keep a release running that instances are on.
const FREEZE_MAX: Duration = Duration::from_hours(90 * 24);

pub(crate) async fn put_instance(
    cx: &mut Write<State>,
    op: PutInstance,
) -> Result<Instance, Error> {
    let known = store::instance(cx.tx(), op.instance).await?;
    if let Some(known) = &known {
        check_same(known, &op)?;
        if is_already(known, &op) {
            return shown(cx.state(), cx.seal(), known, false);
        }
    }
    let service = store::service(cx.tx(), &op.service).await?;
    let service = service.ok_or_else(|| Error::NoService(op.service.clone()))?;
    check_offered(&service.manifest, &op)?;
    let stored = match known {
        Some(known) => Stored { modules: op.modules, size: op.size, ..known },
        None => new(cx, op, service.release).await?,
    };
    store::update_instance(cx.tx(), &stored).await?;
    cx.put(&route(&stored)).await?;
    shown(cx.state(), cx.seal(), &stored, false)
}

async fn new(cx: &mut Write<State>, op: PutInstance, release: Digest) -> Result<Stored, Error> {
    let key = random_secret();
    let setup_key = cx.seal().seal(&key, &key_context(op.instance));
    let stored = Stored {
        instance: op.instance,
        account: op.account,
        service: op.service.clone(),
        host: op.host.clone(),
        modules: op.modules.clone(),
        size: op.size.clone(),
        release,
        state: InstanceState::Creating,
        suspended: None,
        maintenance: None,
        problem: None,
        setup_key,
        setup_digest: Some(Digest::of(key.reveal().as_bytes())),
        settings: None,
        attempt: 0,
        has_database: false,
        rotations: 0,
        schema: (0, 0),
        copy: (0, 0),
        frozen_until: None,
        moving: None,
        created: cx.now(),
    };
    if store::insert_instance(cx.tx(), &stored).await? {
        return Ok(stored);
    }
    // Either another has the host, or the same was told twice at once and this came second.
    let known = store::instance(cx.tx(), op.instance).await?;
    let known = known.ok_or_else(|| Error::HostTaken(op.host.clone()))?;
    check_same(&known, &op)?;
    Ok(Stored { modules: op.modules, size: op.size, ..known })
}

/// What the set-up key is sealed for.
pub(crate) fn key_context(instance: InstanceId) -> String {
    format!("{instance}/setup_key")
}

/// What a customer may know. The link with the set-up key is for whoever may set it up.
fn shown(state: &State, seal: &Seal, stored: &Stored, may_set_up: bool) -> Result<Instance, Error> {
    let url = state.url(&stored.host);
    let waits = takes_setup(stored.state).unwrap_or(false);
    let setup_url = if waits && may_set_up {
        let key = seal.open(&stored.setup_key, &key_context(stored.instance))?;
        Some(format!("{url}/.mandate/setup?key={}", key.reveal()))
    } else {
        None
    };
    Ok(Instance {
        instance: stored.instance,
        account: stored.account,
        service: stored.service.clone(),
        host: stored.host.clone(),
        url,
        modules: stored.modules.clone(),
        size: stored.size.clone(),
        release: stored.release.clone(),
        state: stored.state,
        suspended: stored.suspended.clone(),
        maintenance: stored.maintenance.clone(),
        problem: stored.problem.clone(),
        frozen_until: stored.frozen_until,
        last_move: None,
        setup_url,
        created: stored.created,
    })
}

/// The instance, if it is that account's.
pub(crate) async fn own(
    on: impl db::On,
    account: AccountId,
    instance: InstanceId,
) -> Result<Stored, Error> {
    let stored = store::instance(on, instance).await?;
    stored.filter(|stored| stored.account == account).ok_or(Error::Missing("instance"))
}

pub(crate) async fn get_instance(cx: Call<State>, op: GetInstance) -> Result<Instance, Error> {
    let stored = own(cx.db(), op.account, op.instance).await?;
    shown_whole(&cx, &stored).await
}

/// With how it has moved last.
async fn shown_whole(cx: &Call<State>, stored: &Stored) -> Result<Instance, Error> {
    let last_move = moves::shown(cx.db(), stored.instance, cx.now()).await?;
    let shown = shown(cx.state(), cx.seal(), stored, may_set_up(cx, stored))?;
    Ok(Instance { last_move, ..shown })
}

/// Who may not look at it learns no more than of one that is not there.
pub(crate) async fn find_instance(cx: Call<State>, op: FindInstance) -> Result<Instance, Error> {
    let stored = match (op.name.parse::<InstanceId>(), op.name.parse::<Host>()) {
        (Ok(instance), _) => store::instance(cx.db(), instance).await?,
        (_, Ok(host)) => store::instance_at(cx.db(), &host).await?,
        _ => None,
    };
    let stored = stored.ok_or(Error::Missing("instance"))?;
    let on = Resource::Instance(stored.account, stored.instance);
    match cx.guard().authorize(&cx.caller, GetInstance::PERMISSION, &on) {
        Ok(()) => shown_whole(&cx, &stored).await,
        Err(problem) if problem.kind == Kind::Unavailable => Err(problem.into()),
        Err(_) => Err(Error::Missing("instance")),
    }
}

/// So many hosts are told at once.
const HOSTS_MAX: usize = 500;

pub(crate) async fn get_hosts(cx: Call<State>, op: GetHosts) -> Result<Hosts, Error> {
    if op.instances.len() > HOSTS_MAX {
        return Err(Error::TooManyNames);
    }
    let may_know = |stored: &Stored| {
        let on = Resource::Instance(stored.account, stored.instance);
        cx.caller.account == Some(stored.account)
            || cx.guard().authorize(&cx.caller, GetInstance::PERMISSION, &on).is_ok()
    };
    let known = store::instances_with(cx.db(), &op.instances).await?.into_iter().filter(may_know);
    Ok(Hosts { hosts: known.map(|stored| (stored.instance, stored.host)).collect() })
}

fn may_set_up(cx: &Call<State>, stored: &Stored) -> bool {
    let on = Resource::Instance(stored.account, stored.instance);
    cx.guard().authorize(&cx.caller, SubmitSetup::PERMISSION, &on).is_ok()
}

pub(crate) async fn list_instances(
    cx: Call<State>,
    op: ListInstances,
) -> Result<Page<Instance>, Error> {
    let cursor = op.cursor();
    let rows = store::instances(cx.db(), op.account, &cursor).await?;
    shown_page(&cx, rows, &cursor)
}

pub(crate) async fn list_all_instances(
    cx: Call<State>,
    op: ListAllInstances,
) -> Result<Page<Instance>, Error> {
    let cursor = op.cursor();
    let rows = store::all_instances(cx.db(), &cursor).await?;
    shown_page(&cx, rows, &cursor)
}

fn shown_page(
    cx: &Call<State>,
    rows: Vec<Stored>,
    cursor: &Cursor,
) -> Result<Page<Instance>, Error> {
    let page = Page::cut(rows, cursor, |stored| stored.instance.to_string());
    let one = |stored| shown(cx.state(), cx.seal(), stored, may_set_up(cx, stored));
    let items = page.items.iter().map(one);
    Ok(Page { items: items.collect::<Result<_, _>>()?, next: page.next })
}

pub(crate) async fn set_suspension(
    cx: &mut Write<State>,
    op: SetSuspension,
) -> Result<Empty, Error> {
    let stored = own(cx.tx(), op.account, op.instance).await?;
    let stored = Stored { suspended: reason(op.reason)?, ..stored };
    store::update_instance(cx.tx(), &stored).await?;
    cx.put(&route(&stored)).await?;
    cx.wait_for_copies();
    Ok(Empty {})
}

pub(crate) async fn set_maintenance(
    cx: &mut Write<State>,
    op: SetMaintenance,
) -> Result<Maintenance, Error> {
    let stored = own(cx.tx(), op.account, op.instance).await?;
    let stored = Stored { maintenance: reason(op.reason)?, ..stored };
    store::update_instance(cx.tx(), &stored).await?;
    let revision = cx.put(&route(&stored)).await?;
    cx.wait_for_copies();
    Ok(Maintenance { revision })
}

/// What is on its way goes on.
pub(crate) async fn set_freeze(cx: &mut Write<State>, op: SetFreeze) -> Result<Empty, Error> {
    let stored = own(cx.tx(), op.account, op.instance).await?;
    let latest = cx.now().plus(FREEZE_MAX);
    if op.until.is_some_and(|until| until > latest) {
        return Err(Error::Freeze(latest));
    }
    let stored = Stored { frozen_until: op.until, ..stored };
    store::update_instance(cx.tx(), &stored).await?;
    cx.put(&route(&stored)).await?;
    cx.wait_for_copies();
    Ok(Empty {})
}

pub(crate) async fn repeat_instances(
    cx: &mut Write<State>,
    _: RepeatInstances,
) -> Result<Empty, Error> {
    store::forget_told(cx.tx()).await?;
    Ok(Empty {})
}

/// What visitors will read, which is something.
fn reason(given: Option<String>) -> Result<Option<String>, Error> {
    let shortened = |reason: &str| reason.trim().chars().take(REASON_LENGTH_MAX).collect();
    let reason: Option<String> = given.as_deref().map(shortened);
    if reason.as_ref().is_some_and(String::is_empty) { Err(Error::Reason) } else { Ok(reason) }
}
