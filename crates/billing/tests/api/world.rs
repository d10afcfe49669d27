//! Billing in a house of its own, with just enough of access and identity around it that people
//! can be decided about.

use std::{path::PathBuf, sync::Arc, time::Duration};

use api::{
    Client, Credentials,
    access::Grant,
    billing::{PutPriceBook, PutSubscription, RecordUsage, Recorded, UsageEvent, Words},
    feed::{Change, Changes, Document as _, Snapshot},
    http::token::{Claims, EVERYONE},
    prices::PriceBook,
};
use axum::{
    Json, Router,
    routing::{get, put},
};
use chassis::{House, HouseConfig, Signer};
use db::Engine;
use types::{
    AccountId, Clock, GrantId, Grantable, Host, InstanceId, ManualClock, Principal, Resource,
    SessionId, Timestamp, UserId,
};

pub(crate) const PRICES: &str = r#"
service = "forum"
currency = "USD"
effective = 2026-01-01T00:00:00Z

[plans.basic]
monthly = "9.00"
sizes.small = { per_hour = "0.0125", minimum_seconds = 60 }
sizes.large = { per_hour = "0.1000", minimum_seconds = 3600 }
modules.polls = { monthly = "3.00" }
modules.search = { monthly = "2.00" }
meters.requests = { model = "graduated", included = 100, tiers = [
  { up_to = 1_000, unit = "0.02" }, { unit = "0.01" } ] }
meters.posts = { model = "package", included = 10, size = 100, price = "0.50" }
jobs = { per_second = "0.001" }
"#;

/// A place where billing stands.
pub(crate) struct World {
    pub(crate) house: House,
    pub(crate) clock: Arc<ManualClock>,
    /// Billing's own tables, for those who tamper with them.
    pub(crate) tables: db::Db,
    pub(crate) ada: Person,
    pub(crate) bob: Person,
    pub(crate) operator: Client,
    tasks: Option<tokio::task::JoinSet<()>>,
    engine: Engine,
    folder: PathBuf,
}

/// Somebody with an account of their own, which they own.
pub(crate) struct Person {
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    pub(crate) host: Host,
    pub(crate) client: Client,
    user: UserId,
}

pub(crate) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// SQLite and PostgreSQL, with nothing in them.
pub(crate) fn engines(test: &str) -> [(Engine, PathBuf); 2] {
    let pid = std::process::id();
    let postgres = db::testing::postgres(&format!("b{pid}_{test}"));
    let folder =
        |engine| std::env::temp_dir().join(format!("mandate-billing-{pid}-{test}-{engine}"));
    let sqlite = folder("sqlite");
    [(Engine::sqlite(sqlite.join("databases")), sqlite), (postgres, folder("postgres"))]
}

impl World {
    pub(crate) async fn open((engine, folder): (Engine, PathBuf)) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let clock = Arc::new(ManualClock::at(moment("2026-12-01T00:00:00Z")));
        let config = HouseConfig {
            name: "test".to_owned(),
            data: folder.clone(),
            engine: engine.clone(),
            clock: clock.clone(),
        };
        let house = House::open(config).unwrap();
        let (ada, bob) = (Person::new(&house, "ada"), Person::new(&house, "bob"));
        let grants = [&ada, &bob].map(|person| person.grant(clock.now()));
        let operator = Person::new(&house, "operator");
        let grants = [&grants[..], &[operator.runs_the_platform(clock.now())]].concat();
        house.directory().add_local("access", feed("access", grants));
        house.directory().add_local("identity", feed("identity", Vec::new()));
        let room = house.mount(billing::component()).await.unwrap();
        let tasks = Some(house.start("console").unwrap());
        let fresh = async {
            while !house.guard().is_fresh() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(90), fresh).await.unwrap();
        Self {
            tables: room.db().clone(),
            house,
            clock,
            ada,
            bob,
            operator: operator.client,
            tasks,
            engine,
            folder,
        }
    }

    pub(crate) fn client(&self, name: &'static str) -> Client {
        self.house.client(name).unwrap()
    }

    pub(crate) async fn publish(&self, prices: &str) -> Result<(), api::Problem> {
        self.publish_with(prices, None).await
    }

    pub(crate) async fn publish_with(
        &self,
        prices: &str,
        words: Option<Words>,
    ) -> Result<(), api::Problem> {
        let book = PriceBook::parse("prices.toml", prices).unwrap();
        let put = PutPriceBook { service: book.service.clone(), book, words };
        self.client("releases").call(put).await.map(drop)
    }

    pub(crate) async fn subscribe(&self, terms: PutSubscription) -> Result<(), api::Problem> {
        self.client("provider").call(terms).await.map(drop)
    }

    pub(crate) async fn record(
        &self,
        first: u64,
        events: Vec<UsageEvent>,
    ) -> Result<Recorded, api::Problem> {
        self.client("gateway").call(batch("gateway/main", 1, first, events)).await
    }

    /// The process ends at any moment, and another one goes on.
    pub(crate) async fn restart(mut self, place: (Engine, PathBuf)) -> Self {
        if let Some(mut tasks) = self.tasks.take() {
            tasks.shutdown().await;
        }
        self.tables.close().await;
        drop(self);
        Self::open(place).await
    }

    pub(crate) async fn close(mut self) {
        drop(self.tasks.take());
        self.tables.close().await;
        self.engine.remove_all().await.unwrap();
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Signs a new token for every question, so that it never expires however time is moved.
struct Session {
    signer: Signer,
    clock: Arc<dyn Clock>,
    claims: Claims,
}

impl Credentials for Session {
    fn bearer(&self, _: &str) -> Option<Arc<str>> {
        let now = self.clock.now().micros() / 1_000_000;
        let claims = Claims { iat: now, exp: now + 60, ..self.claims.clone() };
        Some(self.signer.sign(&claims).into())
    }
}

impl Person {
    fn new(house: &House, name: &str) -> Self {
        let (account, user) = (AccountId::named(&[name]), UserId::named(&[name]));
        let claims = Claims {
            sub: Principal::User(user),
            aud: EVERYONE.to_owned(),
            iat: 0,
            exp: 0,
            sid: Some(SessionId::named(&[name])),
            account: Some(account),
            email: None,
            node: None,
        };
        let signer = house.signer("identity").unwrap();
        let session = Session { signer, clock: house.clock(), claims };
        let client = Client::new(Arc::new(house.directory().clone()), Arc::new(session));
        let host = format!("{name}.localhost").parse().unwrap();
        Self { account, instance: InstanceId::named(&[name]), host, client, user }
    }

    fn grant(&self, created: Timestamp) -> Grant {
        Grant {
            grant: GrantId::named(&[&self.user.to_string()]),
            principal: Principal::User(self.user),
            given: Grantable::Owner,
            on: Resource::Account(self.account),
            granted_by: Principal::Service("identity".parse().unwrap()),
            created,
        }
    }

    /// What lets them run the platform.
    fn runs_the_platform(&self, created: Timestamp) -> Grant {
        Grant { given: Grantable::Operator, on: Resource::Platform, ..self.grant(created) }
    }

    /// The instance's terms from `since` on, as the front desk says them.
    pub(crate) fn terms(&self, size: &str, modules: &[&str], since: &str) -> PutSubscription {
        PutSubscription {
            account: self.account,
            instance: self.instance,
            service: "forum".parse().unwrap(),
            host: self.host.clone(),
            plan: "basic".to_owned(),
            size: size.to_owned(),
            modules: modules.iter().map(|module| (*module).to_owned()).collect(),
            since: moment(since),
        }
    }

    /// Some usage of this person's instance.
    pub(crate) fn used(&self, event: &str, at: &str, meter: &str, quantity: u64) -> UsageEvent {
        UsageEvent {
            event: event.to_owned(),
            at: moment(at),
            account: self.account,
            instance: self.instance,
            meter: meter.to_owned(),
            quantity,
            note: "GET /*".to_owned(),
        }
    }
}

pub(crate) fn batch(
    source: &str,
    epoch: u64,
    first_sequence: u64,
    events: Vec<UsageEvent>,
) -> RecordUsage {
    RecordUsage { source: source.to_owned(), epoch, first_sequence, events }
}

/// A component that only has a feed, in which nothing happens after the start.
fn feed(component: &str, grants: Vec<Grant>) -> Router {
    let change = |(grant, revision): (&Grant, u64)| Change {
        revision,
        topic: Grant::TOPIC.to_owned(),
        key: grant.key(),
        body: Some(serde_json::to_value(grant).unwrap()),
    };
    let documents: Vec<Change> = grants.iter().zip(1..).map(change).collect();
    let head = documents.len() as u64 + 1;
    let snapshot = Snapshot { revision: head - 1, documents, next: None };
    let last =
        Change { revision: head, topic: "nothing".to_owned(), key: String::new(), body: None };
    let follow = move |Json(asked): Json<serde_json::Value>| {
        let last = last.clone();
        async move {
            let news = asked["applied"].as_u64().unwrap() < head;
            if !news {
                // As patient as the follower asks a feed to be.
                let wait = Duration::from_millis(asked["wait_millis"].as_u64().unwrap());
                tokio::time::sleep(wait).await;
            }
            let changes = if news { vec![last] } else { Vec::new() };
            Json(Changes { changes, head, reset: false })
        }
    };
    Router::new()
        .route(&format!("/{component}/v1/snapshot"), get(move || async { Json(snapshot) }))
        .route(&format!("/{component}/v1/followers/{{follower}}"), put(follow))
}
