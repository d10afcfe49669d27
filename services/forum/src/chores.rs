//! The work that is done apart from serving, on one forum at a time.

use std::{fmt::Write as _, time::Duration};

use tenancy::{Tenant, Timestamp};

use crate::{
    secrets,
    store::{
        self, Db,
        members::{self, Member},
        topics::{self, Draft},
    },
};

const ADMINISTRATOR: &str = "admin";
const WELCOME: &str = "welcome";
const WELCOME_TEXT: &str = "This is the first topic of a new forum.\n\n\
    Introduce yourself, ask a question, or just say hello: press Join above, and write away.";

/// Brings the database to this release's shape.
pub(crate) async fn migrate(db: &Db, now: Timestamp) -> anyhow::Result<String> {
    let applied = store::migrate(db, now).await?;
    Ok(match applied.as_slice() {
        [] => "nothing to migrate".into(),
        names => format!("migrated: {}", names.join(", ")),
    })
}

/// Writes what a new forum begins with. What is there already stays as it is.
pub(crate) async fn seed(db: &Db, tenant: &Tenant, now: Timestamp) -> anyhow::Result<String> {
    let entered = |field: &str| tenant.settings.get(field).map(|text| text.trim());
    let name = entered("forum_name").filter(|name| !name.is_empty()).unwrap_or("Forum");
    let email = entered("admin_email").unwrap_or_default();
    let token = secrets::token();
    let administrator = Member {
        id: ADMINISTRATOR.into(),
        name: ADMINISTRATOR.into(),
        email: email.into(),
        password: None,
        joined_at: now,
    };
    let first = members::by_name(db, ADMINISTRATOR).await?.is_none();
    let mut statements = vec![
        store::insert_setting("forum_name", name),
        members::insert(&administrator, Some(secrets::hash_token(&token))),
    ];
    if entered("welcome").is_none_or(|choice| choice == "yes") {
        let draft = Draft {
            topic: WELCOME,
            post: WELCOME.into(),
            author: ADMINISTRATOR,
            body: WELCOME_TEXT,
            now,
        };
        statements.extend(draft.open(&format!("Welcome to {name}")));
    }
    db.together(statements).await?;
    Ok(if first {
        let url = &tenant.public_url;
        format!("seeded; the administrator chooses a password at {url}/invitations/{token}")
    } else {
        "seeded before, nothing to do".into()
    })
}

/// Sums up the last day's posts, and keeps the summary.
pub(crate) async fn digest(db: &Db, now: Timestamp) -> anyhow::Result<String> {
    let since = now.minus(Duration::from_hours(24));
    let (posts, joined) = topics::activity(db, since).await?;
    let mut text = format!("the last day: {posts} posts, {joined} new members");
    for (title, posts) in topics::busiest(db, since, 10).await? {
        write!(text, "\n  {posts:>4}  {title}")?;
    }
    topics::keep_digest(db, now, posts, &text).await?;
    Ok(text)
}
