//! What people, accounts and nodes are called.

use api::{
    Operation as _,
    identity::{GetAccount, GetNames, GetUser, ListUsers, Names},
    releases::ListNodes,
};
use chassis::Call;
use types::{AccountId, Resource};

use crate::{Error, State, store};

/// So many names are told at once.
const NAMES_MAX: usize = 500;

/// Names the people of one's own account to each other, and to whoever may look at them anyway. Of
/// others not even whether they are there is told.
pub(crate) async fn get_names(cx: Call<State>, op: GetNames) -> Result<Names, Error> {
    if op.users.len() + op.accounts.len() + op.nodes.len() > NAMES_MAX {
        return Err(Error::TooManyNames);
    }
    let may =
        |permission: &str, on: &Resource| cx.guard().authorize(&cx.caller, permission, on).is_ok();
    let sees_all = may(GetUser::PERMISSION, &Resource::Platform);
    let may_know = |account: Option<AccountId>, permission: &str| {
        sees_all
            || account.is_some_and(|account| {
                cx.caller.account == Some(account) || may(permission, &Resource::Account(account))
            })
    };
    let users = store::users_with(cx.db(), &op.users).await?.into_iter();
    let users = users.filter(|user| may_know(user.account, ListUsers::PERMISSION));
    let accounts = store::accounts_with(cx.db(), &op.accounts).await?.into_iter();
    let accounts = accounts.filter(|it| may_know(Some(it.account), GetAccount::PERMISSION));
    let nodes = if may(ListNodes::PERMISSION, &Resource::Platform) {
        store::nodes_with(cx.db(), &op.nodes).await?
    } else {
        Vec::new()
    };
    Ok(Names {
        users: users.map(|user| (user.user, user.email)).collect(),
        accounts: accounts.map(|account| (account.account, account.title)).collect(),
        nodes: nodes.into_iter().collect(),
    })
}
