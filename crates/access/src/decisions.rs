//! Asking about decisions, and about who changed what.

use api::{
    Operation as _,
    access::{AuditEntry, CheckPermission, Decision, ListAudit, Reason},
    configurator::GetInstance,
    identity::{GetAccount, GetUser},
};
use chassis::Call;
use policy::{Question, Words};
use types::{Page, Principal, Resource, UserId};

use crate::{Error, State, grants::account_of, store};

/// Answers as every guard would, since it asks one.
pub(crate) async fn check_permission(
    cx: Call<State>,
    op: CheckPermission,
) -> Result<Decision, Error> {
    if account_of(&op.on) != Some(op.account) {
        return Err(Error::Elsewhere(op.on));
    }
    let words = words(&cx, &op).await?;
    let (principal, permission, resource) = (&op.principal, op.permission.as_str(), &op.on);
    let explained = cx.guard().explain(&Question { principal, permission, resource }, &words);
    let reason = |rule: policy::Reason| Reason { rule: rule.id, note: rule.note };
    Ok(Decision {
        allowed: explained.allowed,
        sentence: explained.sentence,
        rules: explained.rules.into_iter().map(reason).collect(),
        missing: explained.missing,
    })
}

/// What people call what is asked about. What cannot be found out now goes by its id.
async fn words(cx: &Call<State>, op: &CheckPermission) -> Result<Words, Error> {
    let who = match &op.principal {
        Principal::User(user) => email(cx, op, *user).await,
        Principal::Visitor => "a visitor".to_owned(),
        Principal::Service(name) => format!("the service `{name}`"),
        Principal::Node(node) => format!("the node `{node}`"),
        Principal::Instance(_, instance) => format!("the processes of `{instance}`"),
    };
    let act = match store::title(cx.db(), &op.permission).await? {
        Some(title) => begun_small(&title),
        None => format!("do `{}`", op.permission),
    };
    let place = match op.on {
        Resource::Account(account) => {
            let found = cx.peers().call(GetAccount { account }).await.ok();
            found.map(|found| format!("on the account `{}`", found.title))
        }
        Resource::Instance(account, instance) => {
            let found = cx.peers().call(GetInstance { account, instance }).await.ok();
            found.map(|found| format!("at {}", found.host))
        }
        _ => None,
    };
    Ok(Words { who, act, place: place.unwrap_or_else(|| format!("on `{}`", op.on)) })
}

/// An account learns the names of its own people only.
async fn email(cx: &Call<State>, op: &CheckPermission, user: UserId) -> String {
    let found = cx.peers().call(GetUser { user }).await.ok();
    let sees_all =
        || cx.guard().authorize(&cx.caller, GetUser::PERMISSION, &Resource::Platform).is_ok();
    let known = found.filter(|found| found.account == Some(op.account) || sees_all());
    known.map_or_else(|| format!("`{user}`"), |found| found.email)
}

/// A title as it stands inside a sentence; a word in capitals stays one.
fn begun_small(title: &str) -> String {
    let mut letters = title.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => title.to_owned(),
    }
}

pub(crate) async fn list_audit(cx: Call<State>, op: ListAudit) -> Result<Page<AuditEntry>, Error> {
    let cursor = op.cursor();
    let rows = store::audit(cx.db(), op.account, &cursor).await?;
    let page = Page::cut(rows, &cursor, |(id, _)| id.clone());
    let items = page.items.into_iter().map(|(_, entry)| entry).collect();
    Ok(Page { items, next: page.next })
}
