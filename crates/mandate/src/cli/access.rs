//! Who may do what.

use api::access::{
    self, AuditEntry, CatalogueEntry, CheckPermission, CreateGrant, Decision, ListAudit,
    ListGrants, ListPermissions, ListPlatformGrants, PutGrant, RevokeGrant, RevokePlatformGrant,
};
use clap::Args;
use types::{Clock as _, GrantId, Grantable, Name, Permission, Resource, SystemClock};

use super::{
    Failure, Outcome,
    context::Context,
    names::{Ids, Names},
    output::{self, Limit, Table, Whose, moment, record, word},
    status,
};

const PRINCIPAL: &str = "Who: `me`, the e-mail of a user of the account, or in full, `user/user_…`";
const RESOURCE: &str = "On what: `account`, an instance's id or host, or in full, `account/acct_…`";

/// Let somebody do something
///
/// When this returns, everybody who decides knows it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mandate grant bob@bakery.example forum.addUsers --on bakery-forum.localhost
  mandate grant bob@bakery.example 'forum.*' --on account
  mandate grant bob@bakery.example owner --on account")]
pub(crate) struct Grant {
    #[arg(help = PRINCIPAL)]
    principal: String,
    /// What: a permission, all of a service's (`forum.*`), or `owner`
    what: Grantable,
    #[arg(long, value_name = "RESOURCE", help = RESOURCE)]
    on: String,
    #[command(flatten)]
    whose: Whose,
}

impl Grant {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let (account, on) = cx.resource(self.whose.account, &self.on).await?;
        let given = self.what;
        let grant = if let Some(account) = account {
            let principal = cx.principal(Some(account), &self.principal).await?;
            cx.ask(CreateGrant { account, principal, given, on }).await?
        } else {
            // What is in no account is an operator's to give, under an id of the caller's choice.
            let grant = GrantId::new(SystemClock.now());
            let principal = cx.principal(None, &self.principal).await?;
            cx.ask(PutGrant { grant, principal, given, on }).await?
        };
        let called = names(cx, std::slice::from_ref(&grant)).await;
        cx.show(&grant, |grant| {
            let text = record(&[
                ("grant", Some(grant.grant.to_string())),
                ("to", Some(called.principal(&grant.principal))),
                ("what", Some(grant.given.to_string())),
                ("on", Some(called.resource(&grant.on))),
            ]);
            let platform = if account.is_none() { " --platform" } else { "" };
            format!("{text}\n\n`mandate revoke {}{platform}` takes it back.", grant.grant)
        })
    }
}

/// What people call those whom grants name.
async fn names(cx: &Context, grants: &[access::Grant]) -> Names {
    let mut ids = Ids::default();
    for grant in grants {
        ids.principal(&grant.principal);
        ids.principal(&grant.granted_by);
        ids.resource(&grant.on);
    }
    cx.names(ids).await
}

/// Take a grant back, everywhere at once
///
/// When this returns, everybody who decides has applied it.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Which grant; `mandate grants` shows them
    grant: GrantId,
    /// One that is in no account but on the platform, a service or a node; for operators
    #[arg(long, conflicts_with = "account")]
    platform: bool,
    #[command(flatten)]
    whose: Whose,
}

impl Revoke {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let grant = self.grant;
        let revoked = if self.platform {
            cx.ask(RevokePlatformGrant { grant }).await?
        } else {
            let account = cx.account(self.whose.account).await?;
            cx.ask(RevokeGrant { account, grant }).await?
        };
        cx.show(&revoked, |_| format!("Revoked {}, everywhere.", self.grant))
    }
}

/// List who may do what
#[derive(Debug, Args)]
pub(crate) struct Grants {
    /// Those that are in no account but on the platform, a service or a node; for operators
    #[arg(long, conflicts_with = "account")]
    platform: bool,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    limit: Limit,
}

impl Grants {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let limit = self.limit.limit;
        let grants = if self.platform {
            cx.list(limit, |after, limit| ListPlatformGrants { after, limit }).await?
        } else {
            let account = cx.account(self.whose.account).await?;
            cx.list(limit, |after, limit| ListGrants { account, after, limit }).await?
        };
        let empty = "No grant; `mandate grant PRINCIPAL WHAT --on RESOURCE` makes one.";
        let called = names(cx, &grants.items).await;
        cx.show_list(&grants, empty, |grants| {
            let headings = ["GRANT", "TO", "WHAT", "ON", "BY", "SINCE"];
            Table::of(&headings, grants, |table, grant| {
                let (to, on) = (called.principal(&grant.principal), called.resource(&grant.on));
                let (by, since) = (called.principal(&grant.granted_by), moment(grant.created));
                table.row([&grant.grant, &to, &grant.given, &on, &by, &since]);
            })
        })
    }
}

/// List every permission there is
#[derive(Debug, Args)]
pub(crate) struct Permissions {
    /// Only those of this service
    #[arg(long)]
    service: Option<Name>,
    #[command(flatten)]
    limit: Limit,
}

impl Permissions {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let service = self.service;
        let page = |after, limit| ListPermissions { service: service.clone(), after, limit };
        let permissions = cx.list(self.limit.limit, page).await?;
        let empty = "No permission; a service brings its own with `mandate service publish`.";
        cx.show_list(&permissions, empty, |permissions| {
            let row = |table: &mut Table, entry: &CatalogueEntry| {
                table.row([&entry.permission, &word(&entry.level), &entry.title]);
            };
            Table::of(&["PERMISSION", "LEVEL", "WHAT IT ALLOWS"], permissions, row)
        })
    }
}

/// List who granted and revoked what, newest first
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    limit: Limit,
}

impl Audit {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let account = cx.account(self.whose.account).await?;
        let page = |after, limit| ListAudit { account, after, limit };
        let entries = cx.list(self.limit.limit, page).await?;
        let empty = "Nothing yet; every `mandate grant` and `mandate revoke` is written down here.";
        let mut ids = Ids::default();
        for entry in &entries.items {
            ids.principal(&entry.by);
            ids.resource(&entry.on);
            ids.text(&entry.detail);
        }
        let called = cx.names(ids).await;
        cx.show_list(&entries, empty, |entries| {
            let row = |table: &mut Table, entry: &AuditEntry| {
                let (at, by) = (moment(entry.at), called.principal(&entry.by));
                let (detail, on) = (called.text(&entry.detail), called.resource(&entry.on));
                table.row([&at, &by, &entry.action, &detail, &on, &entry.request]);
            };
            Table::of(&["AT", "BY", "ACTION", "DETAIL", "ON", "REQUEST"], entries, row)
        })
    }
}

/// Say whether somebody may do something, and why
///
/// Exits with 0 if they may, with 7 if not.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  mandate can bob@bakery.example forum.addUsers --on bakery-forum.localhost --explain")]
pub(crate) struct Can {
    #[arg(help = PRINCIPAL)]
    principal: String,
    /// What they would do, `forum.addUsers`
    permission: Permission,
    #[arg(long, value_name = "RESOURCE", help = RESOURCE)]
    on: String,
    /// Say which rules decided, or what is missing
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    whose: Whose,
}

impl Can {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let (account, on) = cx.resource(self.whose.account, &self.on).await?;
        let account = match account {
            Some(account) => account,
            None => cx.account(self.whose.account).await?,
        };
        let principal = cx.principal(Some(account), &self.principal).await?;
        let who = match self.principal.as_str() {
            "me" => cx.me().await?.user.map_or_else(|| principal.to_string(), |user| user.email),
            named => named.to_owned(),
        };
        let whose = self.whose.account.map(|account| format!(" --account {account}"));
        let grant = format!(
            "mandate grant {who} {} --on {}{}",
            self.permission,
            self.on,
            whose.unwrap_or_default()
        );
        let (permission, explain) = (self.permission, self.explain);
        let question = CheckPermission { account, principal, permission, on };
        let decision = cx.ask(question.clone()).await?;
        cx.show(&decision, |decision| match (explain, decision.allowed) {
            (true, _) => explanation(&question.on, &grant, decision),
            (false, true) => "yes".to_owned(),
            (false, false) => "no".to_owned(),
        })?;
        if decision.allowed { Ok(()) } else { Err(Failure::silent(status::MAY_NOT)) }
    }
}

/// `grant` is the command that would allow it.
fn explanation(on: &Resource, grant: &str, decision: &Decision) -> String {
    let mut text = format!("{}.", decision.sentence);
    if !decision.rules.is_empty() {
        let rules = Table::of(&["RULE", "WHAT IT SAYS"], &decision.rules, |table, reason| {
            table.row([&reason.rule, &reason.note]);
        });
        text = format!("{text}\n\n{rules}");
    }
    if let Some(missing) = &decision.missing {
        let wanted = match on {
            Resource::Account(_) | Resource::Instance(..) => "It would take",
            _ => "It would take, from an operator,",
        };
        text = format!("{text}\n\n{wanted} {missing}:\n  {grant}");
    }
    output::clean(&text)
}
