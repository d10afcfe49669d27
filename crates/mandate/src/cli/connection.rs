//! How the platform is reached, and in which form its replies are printed.

use clap::Args;
use types::Secret;

/// Options that every command takes, before or behind its name.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct Connection {
    /// Where the platform is; `MANDATE_URL`, or else `http://127.0.0.1:8080`
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Ask with this token instead of the session's; better put in `MANDATE_TOKEN`
    #[arg(id = "session_token", long = "token", value_name = "TOKEN")]
    #[arg(global = true, value_parser = secret)]
    token: Option<Secret>,
    /// Print the reply as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "clap's parsers may fail")]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

impl Connection {
    const URL: &'static str = "http://127.0.0.1:8080";

    /// What is said here, or else by `outer`.
    pub(crate) fn or(self, outer: Self) -> Self {
        Self {
            url: self.url.or(outer.url),
            token: self.token.or(outer.token),
            json: self.json || outer.json,
        }
    }

    /// The platform's base address, without a final `/`.
    pub(crate) fn url(&self) -> String {
        let url = self.url.clone().or_else(|| variable("MANDATE_URL"));
        url.as_deref().unwrap_or(Self::URL).trim_end_matches('/').to_owned()
    }

    /// The token that was handed in.
    pub(crate) fn token(&self) -> Option<Secret> {
        self.token.clone().or_else(|| variable("MANDATE_TOKEN").map(Secret::new))
    }

    /// Whether replies are printed as JSON.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }
}

/// An environment variable that says something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
