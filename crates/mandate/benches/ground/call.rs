//! What a call from one component to another costs, where they stand in one process.

use std::{future::Future, hint::black_box, path::Path, pin::Pin, sync::Arc, time::Instant};

use anyhow::{Context as _, ensure};
use api::{
    Client, Credentials as _, Operation, Remote,
    access::CheckPermission,
    http::{decode, encode},
    identity::{Me, WhoAmI},
};
use chassis::{Caller, KeyRing};
use types::{Resource, SystemClock};

use crate::{
    figures::{Series, Table, micros, percentile, short},
    platform::Platform,
    program::Program,
};

const ROUNDS: usize = 11;
/// So many calls of each kind in a round: those over HTTP take longer.
const CALLS: usize = 3_000;
const CALLS_OVER_HTTP: usize = 600;
/// Microseconds; what issue 2 allows at the median.
const LIMIT: f64 = 20.0;

const WHO_AM_I: &str = "identity.whoAmI, asked by a component";
const CHECK: &str = "access.checkPermission, asked by a person";

type Asking<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// One of those that take turns.
struct Contestant<'a> {
    what: &'static str,
    calls: usize,
    ask: Box<dyn Fn() -> Asking<'a> + 'a>,
    half: Series,
    most: Series,
}

impl<'a> Contestant<'a> {
    fn new(what: &'static str, calls: usize, ask: impl Fn() -> Asking<'a> + 'a) -> Self {
        let (half, most) = (Series::default(), Series::default());
        Self { what, calls, ask: Box::new(ask), half, most }
    }

    async fn round(&mut self) -> anyhow::Result<()> {
        let mut times = Vec::with_capacity(self.calls);
        for _ in 0..self.calls {
            let begun = Instant::now();
            (self.ask)().await?;
            times.push(micros(begun.elapsed()));
        }
        self.half.push(percentile(&mut times, 0.5));
        self.most.push(percentile(&mut times, 0.99));
        Ok(())
    }
}

/// Asks everybody the same from this process, and the last one over HTTP from another.
pub(crate) async fn measure(
    platform: &Platform,
    there: &Path,
    table: &mut Table,
) -> anyhow::Result<()> {
    let here = platform.component("billing")?;
    let person = platform.person();
    let question = question(platform)?;
    let program = Program::up(there, &["--only", "identity,access"])?;
    let signer = KeyRing::open(&there.join("keys"))?.signer("billing", Arc::new(SystemClock))?;
    let remote = Client::new(Arc::new(Remote::new(&program.url)), Arc::new(signer));
    let caller = platform.house.guard().authenticate(bearer(platform)?.as_deref(), "identity")?;

    ensure!(person.call(question.clone()).await?.allowed, "the owner may do everything");
    ensure!(remote.call(WhoAmI {}).await?.principal == caller.principal, "the same is answered");
    let mut all = vec![
        Contestant::new("a handler, called directly", CALLS, || {
            Box::pin(async { answered(&directly(caller.clone()).await?) })
        }),
        Contestant::new(WHO_AM_I, CALLS, || {
            Box::pin(async { answered(&here.call(WhoAmI {}).await?) })
        }),
        Contestant::new("identity.whoAmI, over HTTP to another process", CALLS_OVER_HTTP, || {
            Box::pin(async { answered(&remote.call(WhoAmI {}).await?) })
        }),
        Contestant::new(CHECK, CALLS, || {
            Box::pin(async { answered(&person.call(question.clone()).await?) })
        }),
    ];
    let mut stages = stages(platform, &question)?;
    for round in 0..=ROUNDS {
        for contestant in all.iter_mut().chain(&mut stages) {
            contestant.round().await?;
            if round == 0 {
                // That was to warm up.
                (contestant.half, contestant.most) = Default::default();
            }
        }
    }
    table.head(
        "A call inside one process, without a database, µs",
        ["p50", "p10 – p90 of it", "p99", ""],
    );
    let whole = all[1].half.median();
    for contestant in &all {
        let times = short(contestant.half.ratio_to(&all[1].half).median());
        let beside = match contestant.what {
            WHO_AM_I => format!("{LIMIT} allowed"),
            CHECK => format!("{times} × whoAmI: its handler decides again, and explains"),
            _ => format!("{times} × whoAmI"),
        };
        show(table, contestant, beside);
    }
    table.note("of which, each measured alone:");
    for stage in &stages {
        let share = 100.0 * stage.half.median() / whole;
        show(table, stage, format!("{share:.0} % of whoAmI"));
    }
    Ok(())
}

fn show(table: &mut Table, contestant: &Contestant<'_>, beside: String) {
    let Contestant { what, half, most, .. } = contestant;
    table.row(*what, [short(half.median()), half.spread(), short(most.median()), beside]);
}

/// May the customer do something with their instance?
fn question(platform: &Platform) -> anyhow::Result<CheckPermission> {
    let customer = &platform.customer;
    Ok(CheckPermission {
        account: customer.account,
        principal: customer.principal.clone(),
        permission: "forum.addUsers".parse()?,
        on: customer.resource(),
    })
}

fn bearer(platform: &Platform) -> anyhow::Result<Option<Arc<str>>> {
    Ok(platform.house.signer("billing")?.bearer("identity"))
}

#[expect(clippy::unnecessary_wraps, reason = "it ends each contestant's question")]
fn answered<T>(answer: &T) -> anyhow::Result<()> {
    black_box(answer);
    Ok(())
}

/// What the handler of `identity.whoAmI` does for a component, behind a pointer as it is there.
fn directly(caller: Caller) -> Pin<Box<dyn Future<Output = anyhow::Result<Me>> + Send>> {
    Box::pin(async move {
        Ok(Me { principal: caller.principal.clone(), user: None, session: caller.session })
    })
}

/// The parts of a call that can be asked for by themselves.
fn stages<'a>(
    platform: &'a Platform,
    question: &'a CheckPermission,
) -> anyhow::Result<Vec<Contestant<'a>>> {
    let guard = platform.house.guard();
    let signer = platform.house.signer("billing")?;
    let token = bearer(platform)?.context("a component has a token")?;
    let caller = guard.authenticate(Some(&token), "identity")?;
    let person = guard.authenticate(Some(platform.customer.token.reveal()), "access")?;
    let me = Me { principal: caller.principal.clone(), user: None, session: None };
    let stage = |what, ask: Box<dyn Fn() -> anyhow::Result<()> + 'a>| {
        Contestant::new(what, CALLS, move || Box::pin(std::future::ready(ask())))
    };
    let authenticated = token.clone();
    let stages = vec![
        stage("the request is written", Box::new(|| answered(&encode(&WhoAmI {})?))),
        stage("the token is shown", Box::new(move || answered(&signer.bearer("identity")))),
        stage(
            "the token is looked at",
            Box::new(move || answered(&guard.authenticate(Some(&authenticated), "identity")?)),
        ),
        stage("the request is read", Box::new(|| answered(&decode::<WhoAmI>(&[], None, b"")?))),
        stage(
            "it is decided: a component, the platform",
            Box::new(move || {
                answered(&guard.authorize(&caller, WhoAmI::PERMISSION, &Resource::Platform)?)
            }),
        ),
        stage(
            "it is decided: a person, their account",
            Box::new(move || {
                let on = Resource::Account(question.account);
                answered(&guard.authorize(&person, CheckPermission::PERMISSION, &on)?)
            }),
        ),
        stage(
            "it is explained, for checkPermission",
            Box::new(move || {
                let CheckPermission { principal, permission, on, .. } = question;
                let permission = permission.as_str();
                let question = policy::Question { principal, permission, resource: on };
                let words = policy::Words::for_the_asker(&question);
                answered(&guard.explain(&question, &words))
            }),
        ),
        stage(
            "the answer is written and read",
            Box::new(move || answered(&serde_json::from_slice::<Me>(&serde_json::to_vec(&me)?)?)),
        ),
    ];
    Ok(stages)
}
