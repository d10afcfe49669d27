//! Accounts, users and sessions.

use std::io::{self, Write as _};

use api::identity::{
    self, CreateUser, GetAccount, ListAccounts, ListUsers, Me, RegisterAccount, SignedIn,
};
use clap::{Args, Subcommand};

use super::{
    Failure, Outcome,
    context::Context,
    output::{Limit, Table, Whose, clean, moment, record},
    password::PasswordSource,
    session::{self, Session},
};

/// Open an account with its first user, who owns it
///
/// The password comes from `MANDATE_PASSWORD`, from standard input, or from a prompt that does not
/// show it; never from an argument. Whoever registers is signed in, in place of whoever was: a
/// second session is kept in another `MANDATE_HOME`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  mandate register 'The Bakery' --email ada@bakery.example")]
pub(crate) struct Register {
    /// What the customer is called, 1 to 100 characters
    title: String,
    /// The first user's e-mail address, by which they sign in
    #[arg(long)]
    email: String,
    #[command(flatten)]
    password: PasswordSource,
}

impl Register {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let (title, email) = (self.title, self.email);
        let password = self.password.chosen()?;
        let fields = RegisterAccount { title, email: email.clone(), password: password.clone() };
        let registered = cx.ask_as_nobody(fields).await?;
        let signed_in =
            cx.ask_as_nobody(identity::SignIn { email: email.clone(), password }).await?;
        keep(cx, signed_in)?;
        cx.show(&registered, |registered| {
            let text = record(&[
                ("account", Some(registered.account.to_string())),
                ("user", Some(registered.user.to_string())),
                ("e-mail", Some(email)),
            ]);
            format!(
                "{text}\n\nYou are signed in. `mandate offer list` shows what there is to take."
            )
        })
    }
}

/// Begin a session
///
/// The password comes from `MANDATE_PASSWORD`, from standard input, or from a prompt that does not
/// show it. The session is kept in `session.json` in `MANDATE_HOME` (`~/.mandate`), which only you
/// can read.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  mandate sign-in ada@bakery.example")]
pub(crate) struct SignIn {
    /// Your e-mail address
    email: String,
    #[command(flatten)]
    password: PasswordSource,
}

impl SignIn {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let email = self.email;
        let fields = identity::SignIn { email: email.clone(), password: self.password.known()? };
        let signed_in = cx.ask_as_nobody(fields).await.map_err(|failure| {
            if !failure.is("sign_in_refused") {
                return failure;
            }
            let link =
                format!("`mandate password forgot {email}` has a link sent to choose another");
            failure.hint(link)
        })?;
        keep(cx, signed_in.clone())?;
        cx.show(&signed_in, |signed_in| {
            let until = moment(signed_in.expires);
            format!("Signed in at {} as {} until {until}.", cx.url(), signed_in.user.email)
        })
    }
}

pub(super) fn keep(cx: &Context, signed_in: SignedIn) -> Outcome {
    let SignedIn { token, session: id, user, expires } = signed_in;
    let (user, account) = (user.user, user.account);
    let session = Session { url: cx.url().to_owned(), token, id, user, account, expires };
    // One that cannot be read is replaced as well.
    let before = session::read(cx.home()).ok().flatten();
    session::write(cx.home(), &session)?;
    if let Some(before) = before.filter(|it| (&it.url, it.user) != (&session.url, session.user)) {
        let note = format!(
            "note: this replaces the session of {} at {}; to keep both, give each a folder of its \
             own in `MANDATE_HOME`",
            before.user, before.url
        );
        // That nobody reads it is no reason to fail.
        let _ = writeln!(io::stderr(), "{}", clean(&note));
    }
    Ok(())
}

/// End the session
#[derive(Debug, Args)]
pub(crate) struct SignOut {}

impl SignOut {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let session = match cx.session() {
            Some(kept) => Some(kept.id),
            None if cx.asks_as_nobody() => None,
            None => cx.me().await?.session,
        };
        let Some(session) = session else {
            return cx.show(&api::Empty {}, |_| "There is no session to end.".to_owned());
        };
        let ended = cx.ask(identity::SignOut { session }).await;
        if cx.session().is_some() {
            session::remove(cx.home())?;
        }
        if ended.as_ref().is_err_and(Failure::is_refused) {
            return cx.show(&api::Empty {}, |_| "The session had ended before.".to_owned());
        }
        cx.show(&ended?, |_| "Signed out. The token is no longer valid.".to_owned())
    }
}

/// Say who is signed in
#[derive(Debug, Args)]
pub(crate) struct Whoami {}

impl Whoami {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        cx.show(&cx.me().await?, |Me { principal, user, session }| {
            let user = user.as_ref();
            record(&[
                ("principal", Some(principal.to_string())),
                ("e-mail", user.map(|user| user.email.clone())),
                ("account", user.and_then(|user| user.account).map(|id| id.to_string())),
                ("session", session.map(|id| id.to_string())),
                ("platform", Some(cx.url().to_owned())),
            ])
        })
    }
}

/// Accounts: list them, show one
#[derive(Debug, Args)]
pub(crate) struct Account {
    #[command(subcommand)]
    verb: AccountVerb,
}

#[derive(Debug, Subcommand)]
enum AccountVerb {
    /// List all accounts; for operators
    List(Limit),
    /// Show an account
    Show(Whose),
}

impl Account {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            AccountVerb::List(Limit { limit }) => list(cx, limit).await,
            AccountVerb::Show(whose) => {
                let account = cx.account(whose.account).await?;
                cx.show(&cx.ask(GetAccount { account }).await?, |account| {
                    record(&[
                        ("account", Some(account.account.to_string())),
                        ("title", Some(account.title.clone())),
                        ("registered", Some(moment(account.created))),
                    ])
                })
            }
        }
    }
}

async fn list(cx: &Context, limit: Option<u32>) -> Outcome {
    let accounts = cx.list(limit, |after, limit| ListAccounts { after, limit }).await?;
    let empty = "No account yet; `mandate register TITLE --email E` opens one.";
    cx.show_list(&accounts, empty, |accounts| {
        Table::of(&["ACCOUNT", "TITLE", "REGISTERED"], accounts, |table, account| {
            table.row([&account.account, &account.title, &moment(account.created)]);
        })
    })
}

/// The users of an account: add one, list them
#[derive(Debug, Args)]
pub(crate) struct User {
    #[command(subcommand)]
    verb: UserVerb,
}

#[derive(Debug, Subcommand)]
enum UserVerb {
    /// Add a user, who may do nothing until something is granted
    #[command(after_help = "Example:
  mandate user add --email bob@bakery.example
  mandate grant bob@bakery.example forum.addUsers --on bakery-forum.localhost")]
    Add {
        /// The user's e-mail address, by which they sign in
        #[arg(long)]
        email: String,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        whose: Whose,
    },
    /// List the users
    List {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        limit: Limit,
    },
}

impl User {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            UserVerb::Add { email, password, whose } => {
                let account = cx.account(whose.account).await?;
                let password = password.chosen()?;
                cx.show(&cx.ask(CreateUser { account, email, password }).await?, |user| {
                    let (id, email) = (user.user, &user.email);
                    let next = format!("`mandate grant {email} WHAT --on RESOURCE`");
                    format!("Added user/{id}.\n\n{next} lets them do something.")
                })
            }
            UserVerb::List { whose, limit } => {
                let account = cx.account(whose.account).await?;
                let page = |after, limit| ListUsers { account, after, limit };
                let users = cx.list(limit.limit, page).await?;
                let empty = "No user; `mandate user add --email E` adds one.";
                cx.show_list(&users, empty, |users| {
                    Table::of(&["USER", "E-MAIL", "ADDED"], users, |table, user| {
                        table.row([&user.user, &user.email, &moment(user.created)]);
                    })
                })
            }
        }
    }
}
