//! What they may do: grants, revocations, explanations and the audit trail.

use std::time::Duration;

use api::{
    Kind,
    access::{
        CheckPermission, CreateGrant, ListAudit, ListGrants, ListOwnGrants, ListPermissions,
        ListPlatformGrants, PutGrant, RevokeGrant, RevokePlatformGrant,
    },
    configurator::{GetInstance, Instance, InstanceState, ListInstances, PutInstance},
    identity::ListUsers,
};
use types::{
    AccountId, GrantId, Grantable, InstanceId, NodeId, Permission, Principal, Resource, Timestamp,
    UserId,
};

use crate::world::{GRANTS_MAX, Person, World, eventually};

fn permission(text: &str) -> Permission {
    text.parse().unwrap()
}

fn given(text: &str) -> Grantable {
    text.parse().unwrap()
}

async fn grant(
    by: &Person,
    to: &Person,
    what: &str,
    on: Resource,
) -> Result<api::access::Grant, api::Problem> {
    let (account, principal, given) = (by.account, to.principal(), given(what));
    by.client.call(CreateGrant { account, principal, given, on }).await
}

/// An instance of the service `forum` that is the person's.
pub(crate) async fn instance(world: &World, of: &Person, name: &str) -> Resource {
    let (account, instance) = (of.account, InstanceId::named(&[name]));
    let put = PutInstance {
        account,
        instance,
        service: "forum".parse().unwrap(),
        host: format!("{name}.localhost").parse().unwrap(),
        modules: std::collections::BTreeSet::new(),
        size: "small".into(),
    };
    world.component("provider").call(put).await.unwrap();
    Resource::Instance(account, instance)
}

fn allowed(world: &World, person: &Person, what: &str, on: &Resource) -> bool {
    let caller = chassis::Caller {
        principal: person.principal(),
        account: Some(person.account),
        session: Some(person.session),
        ..chassis::Caller::VISITOR
    };
    world.house.guard().authorize(&caller, what, on).is_ok()
}

stories! {
    async fn a_grant_and_a_revocation_hold_when_the_call_returns(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let on = instance(world, &ada, "one").await;
        assert!(allowed(world, &ada, "forum.addUsers", &on), "the owner may");
        assert!(!allowed(world, &ben, "forum.addUsers", &on));
        for _ in 0..5 {
            let grant = grant(&ada, &ben, "forum.addUsers", on.clone()).await.unwrap();
            assert!(allowed(world, &ben, "forum.addUsers", &on));
            assert!(!allowed(world, &ben, "forum.removeUsers", &on));
            let (account, grant) = (ada.account, grant.grant);
            ada.client.call(RevokeGrant { account, grant }).await.unwrap();
            assert!(!allowed(world, &ben, "forum.addUsers", &on));
        }
    }

    async fn whoever_was_granted_something_is_told_what_and_where(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let (one, _) = (instance(world, &ada, "one").await, instance(world, &ada, "two").await);
        grant(&ada, &ben, "forum.addUsers", one.clone()).await.unwrap();
        let own = async |who: &Person| who.client.call(ListOwnGrants::default()).await.unwrap().items;
        let granted = own(&ben).await;
        let told = |on: &Resource| granted.iter().find(|own| own.grant.on == *on).unwrap();
        assert_eq!(told(&one).host.as_ref().unwrap().as_str(), "one.localhost");
        assert_eq!(told(&one).grant.given, given("forum.addUsers"));
        assert_eq!(told(&Resource::Account(ben.account)).grant.given, given("owner"));
        assert_eq!(granted.len(), 2);
        assert_eq!(own(&ada).await.len(), 1, "of what was granted to others nothing");
        let asked = world.visitor().call(ListOwnGrants::default()).await;
        assert_eq!(asked.unwrap_err().kind, Kind::Unauthenticated);
    }

    async fn a_grant_says_on_what(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let (one, two) = (instance(world, &ada, "one").await, instance(world, &ada, "two").await);
        grant(&ada, &ben, "forum.*", one.clone()).await.unwrap();
        assert!(allowed(world, &ben, "forum.removeUsers", &one));
        assert!(!allowed(world, &ben, "forum.removeUsers", &two));
        grant(&ada, &ben, "forum.addUsers", Resource::Account(ada.account)).await.unwrap();
        assert!(allowed(world, &ben, "forum.addUsers", &two), "an account holds its instances");
        assert!(!allowed(world, &ben, "billing.getBill", &Resource::Account(ada.account)));
    }

    async fn nobody_grants_what_is_not_theirs(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let foreign = grant(&ada, &ada, "owner", Resource::Account(ben.account)).await.unwrap_err();
        assert_eq!(foreign.kind, Kind::Invalid, "{foreign}");
        let platform = grant(&ada, &ada, "owner", Resource::Platform).await.unwrap_err();
        assert_eq!(platform.kind, Kind::Invalid);
        let own = Resource::Account(ada.account);
        for what in ["operator", "jobs.*", "releases.publishRelease", "identity.listAccounts"] {
            assert!(grant(&ada, &ada, what, own.clone()).await.is_err(), "{what}");
        }
        let unknown = grant(&ada, &ben, "forum.fly", own.clone()).await.unwrap_err();
        assert!(unknown.detail.contains("forum.fly"), "{unknown}");
        let by_ben = ben.client.call(CreateGrant {
            account: ada.account,
            principal: ben.principal(),
            given: given("owner"),
            on: own,
        });
        assert_eq!(by_ben.await.unwrap_err().kind, Kind::Denied);
    }

    async fn a_grant_is_for_somebody_who_is_there(world: &World) {
        world.publish("forum", "first").await;
        let ada = world.sign_up("ada").await;
        let on = Resource::Account(ada.account);
        let nobody = Principal::User(UserId::new(Timestamp::from_micros(1)));
        let node = Principal::Node(NodeId::new(Timestamp::from_micros(1)));
        let service = |name: &str| Principal::Service(name.parse().unwrap());
        for (principal, what, code) in [
            (nobody.clone(), "owner", "unknown_principal"),
            (nobody, "forum.addUsers", "unknown_principal"),
            (service("chess"), "forum.addUsers", "unknown_principal"),
            (service("forum"), "owner", "not_grantable_to"),
            (service("billing"), "forum.addUsers", "not_grantable_to"),
            (Principal::Visitor, "owner", "not_grantable_to"),
            (Principal::Visitor, "forum.addUsers", "not_grantable_to"),
            (node, "owner", "not_grantable_to"),
        ] {
            let (account, given, on) = (ada.account, given(what), on.clone());
            let create = CreateGrant { account, principal: principal.clone(), given, on };
            let refused = ada.client.call(create.clone()).await.unwrap_err();
            assert_eq!((refused.kind, refused.code.as_str()), (Kind::Invalid, code), "{refused}");
            let CreateGrant { principal, given, on, .. } = create;
            let put = PutGrant { grant: GrantId::named(&[what]), principal, given, on };
            let refused = world.operator().await.call(put).await.unwrap_err();
            assert_eq!(refused.code, code, "{refused}");
        }
        let (account, given) = (ada.account, given("forum.addUsers"));
        let create = CreateGrant { account, principal: service("forum"), given, on };
        ada.client.call(create).await.unwrap();
    }

    async fn a_grant_is_on_something_of_the_accounts(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let Resource::Instance(_, foreign) = instance(world, &ben, "ben").await else { return };
        for none in [foreign, InstanceId::named(&["none"])] {
            let on = Resource::Instance(ada.account, none);
            let refused = grant(&ada, &ben, "forum.addUsers", on).await.unwrap_err();
            assert_eq!(refused.code, "foreign_resource", "{refused}");
        }
        let nowhere = AccountId::new(Timestamp::from_micros(1));
        let (principal, given) = (ada.principal(), given("owner"));
        let on = Resource::Account(nowhere);
        let create = CreateGrant { account: nowhere, principal, given, on };
        let refused = world.operator().await.call(create).await.unwrap_err();
        assert_eq!(refused.code, "foreign_resource", "{refused}");
    }

    async fn a_grant_is_there_once_and_revoked_at_once(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let on = Resource::Account(ada.account);
        let make = || grant(&ada, &ben, "forum.addUsers", on.clone());
        let (first, again, third) = tokio::join!(make(), make(), make());
        let first = first.unwrap();
        assert_eq!((&again.unwrap(), &third.unwrap()), (&first, &first));
        let put = PutGrant {
            grant: GrantId::named(&["another"]),
            principal: ben.principal(),
            given: given("forum.addUsers"),
            on: on.clone(),
        };
        let operator = world.operator().await;
        assert_eq!(operator.call(put.clone()).await.unwrap(), first);
        let (account, grant) = (ada.account, first.grant);
        ada.client.call(RevokeGrant { account, grant }).await.unwrap();
        assert!(!allowed(world, &ben, "forum.addUsers", &on));
        let second = operator.call(put.clone()).await.unwrap();
        let other = PutGrant { given: given("forum.removeUsers"), ..put };
        let refused = operator.call(other).await.unwrap_err();
        assert_eq!(refused.code, "grant_exists", "{second:?} would be lost: {refused}");
    }

    async fn an_account_has_so_many_grants_and_no_more(world: &World) {
        let ada = world.sign_up("ada").await;
        let own = |listing: &api::Listing| listing.askers.contains(&api::Asker::Customer);
        let all: Vec<_> = api::listings().into_iter().filter(own).collect();
        let on = Resource::Account(ada.account);
        let ask = async |listing: &api::Listing| {
            grant(&ada, &ada, listing.permission, on.clone()).await
        };
        let most = usize::try_from(GRANTS_MAX).unwrap();
        assert!(all.len() >= most, "there is more to grant than may be");
        let made = futures_util::future::join_all(all.iter().map(ask)).await;
        let refused: Vec<_> = made.iter().filter_map(|made| made.as_ref().err()).collect();
        assert_eq!(refused.len(), all.len() + 1 - most, "the owner's own is one");
        assert_eq!((refused[0].kind, refused[0].code.as_str()), (Kind::Conflict, "grants_used_up"));
        let granted = made.iter().find_map(|made| made.as_ref().ok()).unwrap();
        let again = grant(&ada, &ada, granted.given.to_string().as_str(), on.clone()).await;
        assert_eq!(&again.unwrap(), granted, "what is there already is no more");
        let (account, id) = (ada.account, granted.grant);
        ada.client.call(RevokeGrant { account, grant: id }).await.unwrap();
        grant(&ada, &ada, granted.given.to_string().as_str(), on).await.unwrap();
    }

    async fn the_set_up_key_is_for_whoever_may_set_up(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let on = instance(world, &ada, "one").await;
        let Resource::Instance(account, instance) = on.clone() else { unreachable!() };
        for what in ["configurator.getInstance", "configurator.listInstances"] {
            grant(&ada, &ben, what, Resource::Account(account)).await.unwrap();
        }
        let show = async |person: &Person| {
            let list = ListInstances { account, after: None, limit: None };
            let shown = person.client.call(GetInstance { account, instance }).await.unwrap();
            let listed = person.client.call(list).await.unwrap().items.remove(0);
            assert_eq!(shown, listed);
            shown
        };
        let asks = async || ada.client.call(GetInstance { account, instance }).await.unwrap();
        let waits = |shown: &Instance| shown.state == InstanceState::AwaitingSetup;
        eventually("it waits for its set-up", asks, waits).await;
        assert!(show(&ada).await.setup_url.unwrap().contains("key="));
        assert_eq!(show(&ben).await.setup_url, None, "who may only read");
        grant(&ada, &ben, "configurator.submitSetup", on).await.unwrap();
        assert!(show(&ben).await.setup_url.is_some());
    }

    async fn what_is_granted_on_the_platform_can_be_taken_back(world: &World) {
        let (ada, operator) = (world.sign_up("ada").await, world.operator().await);
        let list = || ListPlatformGrants { after: None, limit: None };
        let before = operator.call(list()).await.unwrap().items;
        assert_eq!(before.len(), 1, "the operator's own");
        let only = RevokePlatformGrant { grant: before[0].grant };
        assert_eq!(operator.call(only.clone()).await.unwrap_err().code, "last_operator");
        let put = PutGrant {
            grant: GrantId::named(&["ada"]),
            principal: ada.principal(),
            given: given("operator"),
            on: Resource::Platform,
        };
        let granted = operator.call(put).await.unwrap();
        assert_eq!(ada.client.call(list()).await.unwrap().items.len(), 2);
        let through_account = RevokeGrant { account: ada.account, grant: granted.grant };
        assert_eq!(operator.call(through_account).await.unwrap_err().kind, Kind::NotFound);
        operator.call(RevokePlatformGrant { grant: granted.grant }).await.unwrap();
        assert_eq!(ada.client.call(list()).await.unwrap_err().kind, Kind::Denied);
        assert_eq!(ada.client.call(only).await.unwrap_err().kind, Kind::Denied);
    }

    async fn a_stranger_cannot_revoke_by_a_foreign_id(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let account = Resource::Account(ada.account);
        let granted = grant(&ada, &ben, "forum.addUsers", account.clone()).await.unwrap();
        let through_own = RevokeGrant { account: ben.account, grant: granted.grant };
        assert_eq!(ben.client.call(through_own).await.unwrap_err().kind, Kind::NotFound);
        assert!(allowed(world, &ben, "forum.addUsers", &account));
    }

    async fn an_account_keeps_an_owner(world: &World) {
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let account = ada.account;
        let list = ListGrants { account, after: None, limit: None };
        let own = ada.client.call(list).await.unwrap().items.remove(0);
        let revoke = RevokeGrant { account, grant: own.grant };
        let refused = ada.client.call(revoke.clone()).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Conflict, "last_owner"));
        assert!(allowed(world, &ada, "billing.getBill", &Resource::Account(account)));
        let second = grant(&ada, &ben, "owner", Resource::Account(account)).await.unwrap();
        let mutual = RevokeGrant { account, grant: second.grant };
        let (one, two) = tokio::join!(ben.client.call(revoke), ada.client.call(mutual));
        assert!(one.is_ok() != two.is_ok(), "one of the two is left: {one:?} {two:?}");
    }

    async fn a_decision_says_why_or_what_is_missing(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let check = || CheckPermission {
            account: ada.account,
            principal: ben.principal(),
            permission: permission("forum.addUsers"),
            on: Resource::Account(ada.account),
        };
        let before = ada.client.call(check()).await.unwrap();
        assert!(!before.allowed && before.rules.is_empty());
        let missing = before.missing.unwrap();
        assert!(missing.contains("forum.addUsers"), "{missing}");
        let granted = grant(&ada, &ben, "forum.addUsers", Resource::Account(ada.account)).await.unwrap();
        let after = ada.client.call(check()).await.unwrap();
        assert!(after.allowed && after.missing.is_none());
        assert_eq!(after.rules[0].rule, granted.grant.to_string());
        let peeping = ben.client.call(check()).await.unwrap_err();
        assert_eq!(peeping.kind, Kind::Denied);
    }

    async fn every_change_is_in_the_audit_trail(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let on = Resource::Account(ada.account);
        world.clock.advance(Duration::from_secs(1));
        let granted = grant(&ada, &ben, "forum.addUsers", on.clone()).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        let (account, grant) = (ada.account, granted.grant);
        ada.client.call(RevokeGrant { account, grant }).await.unwrap();
        let list = ListAudit { account, after: None, limit: None };
        let trail = ada.client.call(list).await.unwrap().items;
        let actions: Vec<_> = trail.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["access.revokeGrant", "access.createGrant", "access.putGrant"]);
        assert!(trail[0].by == ada.principal() && trail[0].detail.contains("forum.addUsers"));
        assert_eq!(trail[2].by, Principal::Service("identity".parse().unwrap()));
        let list = ListGrants { account, after: None, limit: None };
        assert_eq!(ada.client.call(list).await.unwrap().items.len(), 1, "the owner's own");
    }

    async fn the_catalogue_holds_services_and_components_alike(world: &World) {
        world.publish("forum", "first").await;
        let ada = world.sign_up("ada").await;
        let list = |service: &str| ListPermissions {
            service: Some(service.parse().unwrap()),
            after: None,
            limit: None,
        };
        let forum = ada.client.call(list("forum")).await.unwrap().items;
        let names: Vec<_> = forum.iter().map(|entry| entry.permission.as_str()).collect();
        assert_eq!(names, ["forum.addUsers", "forum.removeUsers"]);
        let billing = ada.client.call(list("billing")).await.unwrap().items;
        assert_eq!(billing.len(), api::billing::listings().len());
        let all = ListPermissions { service: None, after: None, limit: Some(500) };
        let all = ada.client.call(all).await.unwrap().items;
        assert_eq!(all.len(), api::listings().len() + 2);
    }

    async fn a_restart_forgets_nothing_that_was_granted(world: &World) {
        world.publish("forum", "first").await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let on = Resource::Account(ada.account);
        grant(&ada, &ben, "identity.listUsers", on).await.unwrap();
        let second = chassis::House::open(chassis::HouseConfig {
            name: "second".into(),
            data: world.data.clone(),
            engine: world.engine.clone(),
            clock: world.house.clock(),
        })
        .unwrap();
        second.mount(access::component(access::Config { grants_max: 9 })).await.unwrap();
        let guard = second.guard().clone();
        let _loops = {
            let transport = std::sync::Arc::new(world.house.directory().clone());
            let signer = second.signer("gateway").unwrap();
            let client = api::Client::new(transport, std::sync::Arc::new(signer));
            let guard = guard.clone();
            tokio::spawn(async move { guard.keep_up(client, "second").await })
        };
        crate::world::until("the second process has caught up", async || guard.is_fresh()).await;
        let caller = chassis::Caller {
            principal: ben.principal(),
            account: Some(ben.account),
            session: Some(ben.session),
            ..chassis::Caller::VISITOR
        };
        guard.authorize(&caller, "identity.listUsers", &Resource::Account(ada.account)).unwrap();
        let list = ListUsers { account: ada.account, after: None, limit: None };
        ben.client.call(list).await.unwrap();
    }
}
