//! Choosing another password.

use api::identity::{ChangePassword, RequestPasswordReset, ResetPassword, SignIn};
use clap::{Args, Subcommand};
use types::Secret;

use super::{
    Failure, Outcome, account, context::Context, password::PasswordSource, session, status,
};

/// Passwords: change your own, or choose a new one by a link
#[derive(Debug, Args)]
pub(crate) struct Password {
    #[command(subcommand)]
    verb: PasswordVerb,
}

#[derive(Debug, Subcommand)]
enum PasswordVerb {
    /// Change your password, and end all your sessions but a new one here
    ///
    /// The password until now comes from `MANDATE_PASSWORD`, from standard input, or from a prompt;
    /// the new one from `MANDATE_NEW_PASSWORD`, from the next line of standard input, or from a
    /// prompt.
    Change(PasswordSource),
    /// Have a link sent with which to choose a new password once
    Forgot {
        /// Your e-mail address
        email: String,
    },
    /// Choose a new password with such a link, and end all your sessions
    Reset {
        /// The link, or what follows `token=` in it
        link: String,
        #[command(flatten)]
        password: PasswordSource,
    },
}

impl Password {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            PasswordVerb::Change(password) => change(cx, &password).await,
            PasswordVerb::Forgot { email } => {
                let asked = cx.ask_as_nobody(RequestPasswordReset { email }).await?;
                cx.show(&asked, |_| {
                    "If there is a user with that address, a mail is on its way.".into()
                })
            }
            PasswordVerb::Reset { link, password } => {
                let token = link.rsplit_once("token=").map_or(link.as_str(), |(_, token)| token);
                let (token, new_password) = (Secret::new(token), password.chosen()?);
                let done = cx.ask_as_nobody(ResetPassword { token, new_password }).await?;
                cx.show(&done, |_| "Done; sign in with the new password.".into())
            }
        }
    }
}

async fn change(cx: &Context, source: &PasswordSource) -> Outcome {
    let me = cx.me().await?.user;
    let email = me.map(|user| user.email).ok_or_else(|| {
        Failure::new(status::USAGE, "only a person has a password; sign in first")
    })?;
    let (password, new_password) = (source.known()?, source.fresh()?);
    cx.ask(ChangePassword { password, new_password: new_password.clone() }).await?;
    if cx.session().is_some() {
        session::remove(cx.home())?;
    }
    let signed_in = cx.ask_as_nobody(SignIn { email, password: new_password }).await?;
    account::keep(cx, signed_in)?;
    cx.show(&api::Empty {}, |_| "Your password is changed, and other sessions have ended.".into())
}
