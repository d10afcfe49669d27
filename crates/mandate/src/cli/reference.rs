//! What needs no server: documents and completions.

use clap::{Args, builder::PossibleValuesParser};
use clap_complete::Shell;

use super::{Failure, Outcome, help, output, status};

/// Print a component's OpenAPI 3.1 document, without a server
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  mandate openapi billing > billing.json")]
pub(crate) struct Openapi {
    /// Of which component
    #[arg(value_parser = PossibleValuesParser::new(api::COMPONENTS))]
    component: String,
    /// Print it as JSON, which it always is
    #[arg(long)]
    json: bool,
}

impl Openapi {
    pub(super) fn run(self) -> Outcome {
        let mut listings = api::listings();
        listings.retain(|listing| listing.component == self.component);
        let document = api::http::openapi(&self.component, &listings);
        let text = serde_json::to_string_pretty(&document);
        output::print_raw(
            &text.map_err(|cause| Failure::new(status::UNEXPECTED, cause.to_string()))?,
        )
    }
}

/// Print a shell's completions
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mandate completions bash > ~/.local/share/bash-completion/completions/mandate
  mandate completions zsh > ~/.zfunc/_mandate
  mandate completions fish > ~/.config/fish/completions/mandate.fish")]
pub(crate) struct Completions {
    /// Of which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Outcome {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut help::command(), "mandate", &mut text);
        output::print_raw(String::from_utf8_lossy(&text).trim_end())
    }
}
