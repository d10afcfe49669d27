//! Who may do what, as a part of a page: the grants, and choosing whom to grant what.

use std::collections::BTreeMap;

use api::{
    Asker, Client, Kind, Problem,
    access::{CatalogueEntry, Grant, ListGrants, ListPermissions},
    identity::FindUser,
};
use maud::{Markup, html};
use types::{AccountId, Grantable, Name, Permission, Principal, Resource};

use crate::{
    failure,
    form::{Draft, form},
    names::{Ids, Names},
    paging::ALL,
    paths,
    visitor::Person,
    words,
};

/// So many permissions are read at most; a platform has far fewer.
const PERMISSIONS_MAX: usize = 50_000;

/// What the platform tells of an account's grants, and what there is to grant.
pub(crate) struct Access {
    account: AccountId,
    grants: Result<Vec<Grant>, Problem>,
    names: Names,
    permissions: Vec<CatalogueEntry>,
}

impl Access {
    /// Of all services, or of the platform and `service` only.
    pub(crate) async fn load(person: &Person, account: AccountId, service: Option<&Name>) -> Self {
        let client = &person.client;
        let (grants, permissions) = tokio::join!(
            client.call(ListGrants { account, after: None, limit: ALL }),
            every_permission(client),
        );
        let mut permissions = permissions.unwrap_or_default();
        permissions.retain(|entry| is_for_customers(entry, service));
        let mut ids = Ids::default();
        for grant in grants.iter().flat_map(|page| &page.items) {
            ids.principal(&grant.principal);
            ids.principal(&grant.granted_by);
        }
        let names = Names::of(person, ids).await;
        Self { account, names, grants: grants.map(|page| page.items), permissions }
    }

    /// What a grant gives, in the catalogue's words.
    fn may(&self, given: &Grantable) -> Markup {
        let title = |permission: &Permission| {
            let known = self.permissions.iter().find(|entry| entry.permission == *permission);
            known.map(|entry| briefly(&entry.title))
        };
        html! {
            @match given {
                Grantable::Owner => "owns it",
                Grantable::Operator => "runs the platform",
                Grantable::Service(name) => { "may do everything in " (name) },
                Grantable::Permission(permission) => {
                    "may: "
                    @match title(permission) {
                        Some(title) => { (title) " " code.soft.small { (permission) } }
                        None => code { (permission) },
                    }
                },
            }
        }
    }

    /// By service; those of a published service before those of the platform.
    fn groups(&self) -> Vec<(&str, Vec<&CatalogueEntry>)> {
        let mut groups: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for entry in &self.permissions {
            groups.entry(entry.permission.service()).or_default().push(entry);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(service, _)| api::COMPONENTS.contains(service));
        groups
    }
}

/// The whole catalogue, page by page.
async fn every_permission(client: &Client) -> Result<Vec<CatalogueEntry>, Problem> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = client.call(ListPermissions { service: None, after, limit: ALL }).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() || all.len() >= PERMISSIONS_MAX {
            return Ok(all);
        }
    }
}

/// Whether a customer can give it to somebody: what published services define, and of the
/// platform's own what customers may do.
fn is_for_customers(entry: &CatalogueEntry, service: Option<&Name>) -> bool {
    let of = entry.permission.service();
    if !api::COMPONENTS.contains(&of) {
        return service.is_none_or(|service| service.as_str() == of);
    }
    api::listings().iter().any(|listing| {
        listing.permission == entry.permission.as_str() && listing.askers.contains(&Asker::Customer)
    })
}

/// The grants that count on `on`, and the form for one more.
pub(crate) fn section(person: &Person, access: &Access, on: &Resource, draft: &Draft) -> Markup {
    html! {
        @match &access.grants {
            Err(problem) => (failure::missing_part(problem)),
            Ok(grants) => {
                ul.rows {
                    @for grant in grants.iter().filter(|grant| counts_on(&grant.on, on)) {
                        (row(person, access, grant, on))
                    }
                }
                (grant_form(person, access, on, draft))
            }
        }
    }
}

/// A grant on an account counts for all of its instances.
fn counts_on(granted: &Resource, on: &Resource) -> bool {
    let account = match on {
        Resource::Instance(account, _) => Some(*account),
        _ => None,
    };
    granted == on || account.is_some_and(|account| *granted == Resource::Account(account))
}

fn row(person: &Person, access: &Access, grant: &Grant, page: &Resource) -> Markup {
    let action = format!("{}/{}/revocation", paths::of(access.account, "grants"), grant.grant);
    let content = html! {
        input type="hidden" name="page" value=(page);
        button.link.danger { "Revoke" }
    };
    html! {
        li {
            div {
                div { strong { (access.names.principal(&grant.principal)) } " " (access.may(&grant.given)) }
                div.soft.small {
                    @if grant.on != *page { "on the whole account, " }
                    "granted " (words::moment(grant.created)) " by "
                    (access.names.principal(&grant.granted_by))
                }
            }
            (form(&person.form_token, &action, content))
        }
    }
}

fn grant_form(person: &Person, access: &Access, on: &Resource, draft: &Draft) -> Markup {
    let fields = &draft.fields;
    let content = html! {
        (draft.once())
        input type="hidden" name="page" value=(on);
        div.line {
            (who_field(fields.get("principal")))
            label.field { span { "May" }
                select name="given" required {
                    @if let Resource::Account(_) = on {
                        option value="owner" selected[fields.get("given") == "owner"] {
                            "everything (owner)"
                        }
                    }
                    (permission_options(access, fields.get("given"), true))
                }
            }
        }
        @if let Resource::Instance(account, _) = on {
            label.field { span { "On" }
                select name="on" {
                    option value=(on) { "this instance" }
                    @let account = Resource::Account(*account).to_string();
                    option value=(account) selected[fields.get("on") == account] {
                        "the whole account"
                    }
                }
            }
        } @else { input type="hidden" name="on" value=(on); }
        button.quiet { "Grant" }
    };
    form(&person.form_token, &paths::of(access.account, "grants"), content)
}

/// Asks for somebody by the address that they sign in with.
pub(crate) fn who_field(typed: &str) -> Markup {
    html! {
        label.field { span { "Who" }
            input type="email" name="principal" value=(typed) required maxlength="254"
                autocomplete="off" autocapitalize="none" spellcheck="false"
                placeholder="ben@example.com";
        }
    }
}

/// Whoever is meant: a user of the account by their address, or a principal in full.
pub(crate) async fn whom(
    person: &Person,
    account: AccountId,
    typed: &str,
) -> Result<Principal, Problem> {
    if !typed.contains('@') {
        return typed.parse().map_err(|cause: types::WhoError| {
            Problem::invalid("principal", format!("{cause}; write a user’s e-mail address"))
        });
    }
    let found = person.client.call(FindUser { account, email: typed.to_owned() }).await;
    found.map(|user| Principal::User(user.user)).map_err(|problem| match problem.kind {
        Kind::NotFound => Problem { detail: unknown(typed), ..problem },
        _ => problem,
    })
}

fn unknown(email: &str) -> String {
    format!("the account has no user `{email}`; add them on its page of users first")
}

/// The first sentence, for a list to choose from.
fn briefly(title: &str) -> &str {
    title.split(['.', ';']).next().unwrap_or(title)
}

pub(crate) fn permission_options(access: &Access, chosen: &str, with_all: bool) -> Markup {
    html! {
        @for (service, entries) in access.groups() {
            optgroup label=(service) {
                @if with_all && !api::COMPONENTS.contains(&service) {
                    @let all = format!("{service}.*");
                    option value=(all) selected[all == chosen] { (all) " · everything" }
                }
                @for entry in entries {
                    @let permission = entry.permission.as_str();
                    option value=(permission) selected[permission == chosen] {
                        (permission) " · " (briefly(&entry.title))
                    }
                }
            }
        }
    }
}
