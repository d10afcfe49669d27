//! Who is calling, and may they: decided in this process, from copies, without asking anybody.
//!
//! Grants and catalogues come by the feed of access; ended sessions and nodes' keys by that of
//! identity. The standing rules (a component may do what is `by` it, agents what is `by agent`…)
//! follow from the operations themselves and need no copy, so components reach each other from the
//! first moment on. A person is decided about only while both copies' leases hold.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, RwLock},
};

use api::{
    Client, Kind, Problem, access,
    http::token::{self, Claims, EVERYONE},
    identity,
};
use arc_swap::ArcSwap;
use ed25519_dalek::VerifyingKey;
use policy::{Action, Policies, Question, Rule, Words};
use types::{AccountId, Clock, NodeId, Principal, Resource, SessionId, Timestamp};

use crate::{
    decisions::Decisions,
    feed::{Copy, Freshness, Update, follow},
    keys::KeyRing,
    seal::unhex,
};

const TOKENS_KEPT: usize = 10_000;

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// As whom.
    pub principal: Principal,
    /// The account that a user belongs to.
    pub account: Option<AccountId>,
    /// The session of the token.
    pub session: Option<SessionId>,
    /// What a user is called.
    pub email: Option<Arc<str>>,
    /// Until when what was shown proves it.
    pub until: Option<Timestamp>,
}

impl Caller {
    /// Nobody in particular.
    pub const VISITOR: Self = Self {
        principal: Principal::Visitor,
        account: None,
        session: None,
        email: None,
        until: None,
    };

    /// A component of the platform.
    pub(crate) fn component(name: &'static str) -> Self {
        let name = name.parse().expect("components have proper names");
        Self { principal: Principal::Service(name), ..Self::VISITOR }
    }
}

/// Decides in this process. Cheap to clone.
#[derive(Clone)]
pub struct Guard(Arc<Watch>);

struct Watch {
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    access: Freshness,
    identity: Freshness,
    known: ArcSwap<Known>,
    /// Changes are applied one after the other.
    applying: Mutex<()>,
    verified: RwLock<HashMap<Arc<str>, Arc<Verified>>>,
}

#[derive(Clone, Default)]
struct Known {
    rules: Arc<Decisions>,
    sessions: Copy<identity::EndedSession>,
    nodes: Copy<identity::NodeKey>,
}

struct Verified {
    claims: Claims,
    caller: Caller,
    /// The session, as the feed names it.
    session: Option<String>,
    /// Whose key signed it, or to which it was given: what a node that is gone had is refused.
    node: Option<String>,
}

impl Guard {
    /// A guard that trusts the keys on `keys` and knows the standing rules.
    pub fn new(keys: KeyRing, clock: Arc<dyn Clock>) -> Self {
        let rules = Arc::new(Decisions::new(STANDING.clone()));
        let known = Known { rules, ..Known::default() };
        Self(Arc::new(Watch {
            keys,
            clock,
            access: Freshness::default(),
            identity: Freshness::default(),
            known: ArcSwap::from_pointee(known),
            applying: Mutex::default(),
            verified: RwLock::default(),
        }))
    }

    /// Keeps the copies of access's and identity's feeds, as `follower`, for as long as it runs.
    pub async fn keep_up(&self, client: Client, follower: &str) {
        let this = self.clone();
        let grants = follow::<access::Changes>(
            client.clone(),
            format!("{follower}.guard"),
            self.0.access.clone(),
            move |update| {
                this.change(|known| {
                    let mut policies = known.rules.policies().clone();
                    apply_access(&mut policies, &update);
                    known.rules = Arc::new(Decisions::new(policies));
                });
            },
        );
        let this = self.clone();
        let people = follow::<identity::Changes>(
            client,
            format!("{follower}.guard"),
            self.0.identity.clone(),
            move |update| {
                this.change(|known| {
                    known.sessions.apply(&update);
                    known.nodes.apply(&update);
                });
            },
        );
        tokio::join!(grants, people);
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let _one_at_a_time = self.0.applying.lock().expect("nobody panics while holding it");
        let mut known = Known::clone(&self.0.known.load());
        change(&mut known);
        self.0.known.store(Arc::new(known));
    }

    /// Whether decisions about people can be made: both copies' leases hold.
    pub fn is_fresh(&self) -> bool {
        self.0.access.holds() && self.0.identity.holds()
    }

    /// How far the copies are: as long as this is the same, so is every decision, but for what time
    /// and a lost lease do.
    pub fn revision(&self) -> (u64, u64) {
        (self.0.access.applied(), self.0.identity.applied())
    }

    /// Who shows `token` to `audience`.
    pub fn authenticate(&self, token: Option<&str>, audience: &str) -> Result<Caller, Problem> {
        let Some(token) = token else { return Ok(Caller::VISITOR) };
        let refuse = |code: &str, detail: &str| Problem::new(Kind::Unauthenticated, code, detail);
        let known = self.0.known.load();
        let verified = self.verified(token, &known)?;
        let claims = &verified.claims;
        if !claims.is_valid_at(self.0.clock.now()) {
            return Err(refuse("token_expired", "the token has expired; sign in again"));
        }
        if claims.is_of_the_future(self.0.clock.now()) {
            let detail = "the token was issued in the future: correct the clocks of the machines";
            return Err(refuse("token_of_the_future", detail));
        }
        if claims.aud != audience && claims.aud != EVERYONE {
            return Err(refuse("token_not_for_us", "the token was issued for another component"));
        }
        let ended = verified.session.as_ref().is_some_and(|sid| known.sessions.get(sid).is_some());
        if ended {
            return Err(refuse("session_ended", "the session has ended; sign in again"));
        }
        if verified.node.as_ref().is_some_and(|node| known.nodes.get(node).is_none()) {
            return Err(refuse("node_unknown", "the node is not known here"));
        }
        Ok(verified.caller.clone())
    }

    fn verified(&self, token: &str, known: &Known) -> Result<Arc<Verified>, Problem> {
        let cache = self.0.verified.read().expect("nobody panics while holding it");
        if let Some(verified) = cache.get(token) {
            return Ok(Arc::clone(verified));
        }
        drop(cache);
        let refuse = |detail: String| Problem::new(Kind::Unauthenticated, "token_refused", detail);
        let (kid, claims) = token::verify(token, |kid| self.key(kid, known))
            .map_err(|cause| refuse(cause.to_string()))?;
        if !may_speak_for(&kid, &claims) {
            return Err(refuse(format!("`{kid}` may not speak for `{}`", claims.sub)));
        }
        let node = kid.parse().ok().or(claims.node).map(|node: NodeId| node.to_string());
        let session = claims.sid.map(|session| session.to_string());
        let caller = Caller {
            principal: claims.sub.clone(),
            account: claims.account,
            session: claims.sid,
            email: claims.email.as_deref().map(Into::into),
            until: Some(claims.valid_until()),
        };
        let verified = Arc::new(Verified { claims, caller, session, node });
        let mut cache = self.0.verified.write().expect("nobody panics while holding it");
        if cache.len() >= TOKENS_KEPT {
            cache.clear();
        }
        cache.insert(token.into(), Arc::clone(&verified));
        Ok(verified)
    }

    fn key(&self, kid: &str, known: &Known) -> Option<VerifyingKey> {
        let node = known.nodes.get(kid).and_then(|node| unhex::<32>(&node.public_key));
        match node {
            Some(bytes) => VerifyingKey::from_bytes(&bytes).ok(),
            None => self.0.keys.find(kid),
        }
    }

    /// Whether `caller` may do `permission` on `resource`; if not, the problem says why.
    pub fn authorize(
        &self,
        caller: &Caller,
        permission: &str,
        resource: &Resource,
    ) -> Result<(), Problem> {
        let known = self.0.known.load();
        let question = Question { principal: &caller.principal, permission, resource };
        if needs_copies(&caller.principal) && !self.is_fresh() {
            let public = Question { principal: &Principal::Visitor, ..question };
            if known.rules.allows(&public) {
                return Ok(());
            }
            let detail = "this part of the platform cannot be sure at the moment what is granted; \
                          try again";
            return Err(Problem::unavailable(detail, 1));
        }
        if known.rules.allows(&question) {
            return Ok(());
        }
        if caller.principal == Principal::Visitor {
            let detail = format!("you must sign in for `{permission}`: send a token");
            return Err(Problem::new(Kind::Unauthenticated, "sign_in", detail));
        }
        let words = Words::for_the_asker(&question);
        let sentence = known.rules.policies().explain(&question, &words).sentence;
        Err(Problem::new(Kind::Denied, "denied", sentence))
    }

    /// Why somebody may or may not do something, in these words.
    pub fn explain(&self, question: &Question, words: &Words) -> policy::Explanation {
        self.0.known.load().rules.policies().explain(question, words)
    }

    /// Whether there is such a permission.
    pub fn knows(&self, permission: &str) -> bool {
        self.0.known.load().rules.policies().knows(permission)
    }
}

/// People, and visitors who may have been granted something, are decided about from the copies.
fn needs_copies(principal: &Principal) -> bool {
    matches!(principal, Principal::User(_) | Principal::Visitor)
}

/// No token may be good for longer, whoever signed it.
const LIFE_SECONDS_MAX: i64 = 12 * 3600 + 60;
/// But an instance's: it goes on when the platform is away for a night.
const INSTANCE_LIFE_SECONDS_MAX: i64 = 24 * 3600 + 60;

fn may_speak_for(kid: &str, claims: &Claims) -> bool {
    let lives = claims.exp.saturating_sub(claims.iat);
    let life_max = match &claims.sub {
        Principal::Instance(..) => INSTANCE_LIFE_SECONDS_MAX,
        _ => LIFE_SECONDS_MAX,
    };
    if !(0..=life_max).contains(&lives) {
        return false;
    }
    match &claims.sub {
        Principal::Visitor => false,
        Principal::User(_) => kid == "identity" && claims.sid.is_some(),
        Principal::Node(node) => kid == node.to_string() && claims.aud != EVERYONE,
        Principal::Service(name) if api::PRINCIPALS.contains(&name.as_str()) => {
            kid == name.as_str() && claims.aud != EVERYONE
        }
        Principal::Service(_) => kid == "identity",
        Principal::Instance(..) => kid == "identity" && claims.aud != EVERYONE,
    }
}

/// What follows from the operations themselves, worked out once in a process.
static STANDING: LazyLock<Policies> = LazyLock::new(standing_rules);

fn standing_rules() -> Policies {
    let mut policies = Policies::new();
    for component in api::COMPONENTS {
        let actions = api::listings().into_iter().filter(|listing| listing.component == component);
        policies.put_actions(component, actions.map(|listing| action(&listing)).collect());
    }
    let components = api::PRINCIPALS.map(Rule::for_component);
    let others = [
        Rule::for_agents(),
        Rule::for_anyone(),
        Rule::for_everybody(),
        Rule::for_services_themselves(),
        Rule::for_instances_themselves(),
    ];
    for rule in components.into_iter().chain(others) {
        policies.put_rule(rule).expect("the standing rules are well formed");
    }
    policies
}

fn action(listing: &api::Listing) -> Action {
    let permission = listing.permission.parse().expect("an operation's permission is well formed");
    let mut groups: Vec<String> = listing.askers.iter().flat_map(|asker| asker.groups()).collect();
    groups.push(format!("service:{}", listing.component));
    Action { permission, groups }
}

fn apply_access(policies: &mut Policies, update: &Update) {
    if update.is_reset() {
        *policies = STANDING.clone();
    }
    for (key, catalogue) in update.of::<access::Catalogue>() {
        match catalogue {
            // Access refuses such a name; a copy does not rely on it.
            Some(_) if api::is_reserved(&key) => {}
            Some(catalogue) => policies.put_actions(&key, catalogue_actions(&catalogue)),
            None => policies.remove_actions(&key),
        }
    }
    for (key, grant) in update.of::<access::Grant>() {
        let Some(grant) = grant else {
            policies.remove_rule(&key);
            continue;
        };
        let rule = Rule::of_grant(&key, &grant.principal, &grant.given, &grant.on);
        if let Err(cause) = policies.put_rule(rule) {
            // Not what it said before either.
            policies.remove_rule(&key);
            tracing::error!(grant = key, %cause, "a grant cannot be read and grants nothing");
        }
    }
}

/// A service's permissions: the account's owner has them all.
fn catalogue_actions(catalogue: &access::Catalogue) -> Vec<Action> {
    let groups = vec![format!("service:{}", catalogue.service), "role:owner".to_owned()];
    let entries = catalogue.permissions.iter();
    entries
        .map(|entry| Action { permission: entry.permission.clone(), groups: groups.clone() })
        .collect()
}
