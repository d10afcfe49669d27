//! Whether those whom a grant names are there: asked of their owners, before the transaction.

use api::{
    Kind, Problem,
    configurator::GetInstance,
    identity::{GetAccount, GetUser},
};
use chassis::Call;
use types::{Grantable, Principal, Resource};

use crate::{Error, State, store};

/// A grant is for a person or a published service. Only a person can own an account: its last
/// owner has to be somebody who can sign in.
pub(crate) async fn check_principal(
    cx: &Call<State>,
    principal: &Principal,
    given: &Grantable,
) -> Result<(), Error> {
    let refused = || Error::NotForThem(principal.clone());
    let is_role = matches!(given, Grantable::Owner | Grantable::Operator);
    match principal {
        Principal::User(user) => {
            let asked = cx.peers().call(GetUser { user: *user }).await;
            found(asked, || Error::Nobody(principal.clone()))
        }
        Principal::Service(name) if is_role || api::RESERVED.contains(&name.as_str()) => {
            Err(refused())
        }
        Principal::Service(name) => {
            let known = store::knows_service(cx.db(), name).await?;
            if known { Ok(()) } else { Err(Error::Nobody(principal.clone())) }
        }
        Principal::Visitor | Principal::Node(_) | Principal::Instance(..) => Err(refused()),
    }
}

/// What belongs to a customer is there, and is that customer's.
pub(crate) async fn check_resource(cx: &Call<State>, on: &Resource) -> Result<(), Error> {
    let missing = || Error::Elsewhere(on.clone());
    match on {
        Resource::Account(account) => {
            found(cx.peers().call(GetAccount { account: *account }).await, missing)
        }
        Resource::Instance(account, instance) => {
            let question = GetInstance { account: *account, instance: *instance };
            found(cx.peers().call(question).await, missing)
        }
        Resource::Platform | Resource::Service(_) | Resource::Node(_) => Ok(()),
    }
}

fn found<T>(asked: Result<T, Problem>, missing: impl FnOnce() -> Error) -> Result<(), Error> {
    match asked {
        Ok(_) => Ok(()),
        Err(problem) if problem.kind == Kind::NotFound => Err(missing()),
        Err(problem) => Err(problem.into()),
    }
}
