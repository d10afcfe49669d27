//! Asking about decisions, and about who changed what.

use api::access::{AuditEntry, CheckPermission, Decision, ListAudit, Reason};
use chassis::Call;
use types::Page;

use crate::{Error, State, grants::account_of, store};

/// Answers as every guard would, since it asks one.
pub(crate) async fn check_permission(
    cx: Call<State>,
    op: CheckPermission,
) -> Result<Decision, Error> {
    if account_of(&op.on) != Some(op.account) {
        return Err(Error::Elsewhere(op.on));
    }
    let explained = cx.guard().explain(&op.principal, op.permission.as_str(), &op.on);
    let reason = |rule: policy::Reason| Reason { rule: rule.id, note: rule.note };
    Ok(Decision {
        allowed: explained.allowed,
        sentence: explained.sentence,
        rules: explained.rules.into_iter().map(reason).collect(),
        missing: explained.missing,
    })
}

pub(crate) async fn list_audit(cx: Call<State>, op: ListAudit) -> Result<Page<AuditEntry>, Error> {
    let cursor = op.cursor();
    let rows = store::audit(cx.db(), op.account, &cursor).await?;
    let page = Page::cut(rows, &cursor, |(id, _)| id.clone());
    let items = page.items.into_iter().map(|(_, entry)| entry).collect();
    Ok(Page { items, next: page.next })
}
