//! How a command fails: a sentence, a hint, and an exit code that a script can use.

use std::{collections::BTreeMap, io, io::Write as _, process::ExitCode};

use api::{Kind, Problem};
use types::RequestId;

use super::output::clean;

/// The exit codes; 0 is done.
pub(crate) mod status {
    /// Something unexpected.
    pub(crate) const UNEXPECTED: u8 = 1;
    /// The command was not written as it should be.
    pub(crate) const USAGE: u8 = 2;
    /// Not signed in, or denied.
    pub(crate) const REFUSED: u8 = 3;
    /// Not found.
    pub(crate) const NOT_FOUND: u8 = 4;
    /// It cannot be meant, or does not fit what is there.
    pub(crate) const UNFIT: u8 = 5;
    /// Not now.
    pub(crate) const UNAVAILABLE: u8 = 6;
    /// `can`: they may not.
    pub(crate) const MAY_NOT: u8 = 7;
    /// `bill verify`: the computations disagree.
    pub(crate) const DISAGREES: u8 = 8;
    /// `release promote --check`: something would be lost.
    pub(crate) const LOSES: u8 = 9;
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    /// What a program branches on: the problem's code, or a word for the exit code.
    code: String,
    sentence: String,
    hint: Option<String>,
    output: Option<String>,
    request: Option<RequestId>,
    is_json: bool,
}

/// The failure of something that says why, or does not.
pub(super) fn failed(what: &str, problem: Option<String>) -> Failure {
    let why = problem.map_or_else(String::new, |problem| format!(": {problem}"));
    Failure::new(status::UNFIT, format!("{what}{why}"))
}

impl Failure {
    /// Ends with `status` and says `sentence`.
    pub(crate) fn new(status: u8, sentence: impl Into<String>) -> Self {
        let code = match status {
            status::USAGE => "usage",
            status::REFUSED => "refused",
            status::NOT_FOUND => "not_found",
            status::UNFIT => "unfit",
            status::UNAVAILABLE => "unavailable",
            _ => "unexpected",
        };
        Self {
            status,
            code: code.to_owned(),
            sentence: sentence.into(),
            hint: None,
            output: None,
            request: None,
            is_json: false,
        }
    }

    /// What the reader of arguments says: a paragraph on what is wrong, then how it is written.
    pub(super) fn usage(said: &str) -> Self {
        let said = said.strip_prefix("error: ").unwrap_or(said).trim();
        let (wrong, help) = said.split_once("\n\n").unwrap_or((said, ""));
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self::new(status::USAGE, one_line(wrong)).hint(one_line(help))
    }

    /// Ends with `status` without a word: what there is to say has been printed.
    pub(crate) fn silent(status: u8) -> Self {
        Self::new(status, "")
    }

    /// The same with a line that says what to do.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same, told as a JSON document if `is_json`.
    #[must_use]
    pub(crate) fn told_as_json(self, is_json: bool) -> Self {
        Self { is_json, ..self }
    }

    /// The same with what a program printed, indented under a heading.
    #[must_use]
    pub(crate) fn output(self, heading: impl std::fmt::Display, printed: &str) -> Self {
        let lines = printed.trim_end().lines().map(|line| format!("  {line}\n"));
        Self { output: Some(format!("{heading}:\n{}", lines.collect::<String>())), ..self }
    }

    /// What happened, in a sentence.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Whether the same may succeed later without anybody changing anything.
    pub(crate) const fn is_unavailable(&self) -> bool {
        self.status == status::UNAVAILABLE
    }

    /// Whether whoever asks may not, or has not said who they are.
    pub(crate) const fn is_refused(&self) -> bool {
        self.status == status::REFUSED
    }

    /// Whether that is the problem's code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether what was asked about is not there.
    pub(crate) const fn is_not_found(&self) -> bool {
        self.status == status::NOT_FOUND
    }

    /// The failure to do `what`, such as "read `mandate.toml`".
    pub(crate) fn cannot(what: impl std::fmt::Display, cause: &io::Error) -> Self {
        let status = match cause.kind() {
            io::ErrorKind::NotFound => status::NOT_FOUND,
            _ => status::UNEXPECTED,
        };
        Self::new(status, format!("cannot {what}: {cause}"))
    }

    /// Says on standard error why, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let text = if self.is_json { self.document() } else { clean(&self.text()) };
        // There is nobody else to tell.
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(self.status)
    }

    /// `{"error": {"code": …, "detail": …}}`, without what there is nothing to say of.
    fn document(&self) -> String {
        if self.sentence.is_empty() {
            return String::new();
        }
        let request = self.request.map(|request| request.to_string());
        let all = [
            ("code", Some(self.code.clone())),
            ("detail", Some(self.sentence.clone())),
            ("output", self.output.clone()),
            ("request", request),
            ("hint", self.hint.clone()),
        ];
        let said = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let error: BTreeMap<&str, String> = said.collect();
        format!("{:#}\n", serde_json::json!({ "error": error }))
    }

    fn text(&self) -> String {
        let sentence = Some(&self.sentence).filter(|sentence| !sentence.is_empty());
        let lines = [
            sentence.map(|sentence| format!("error: {sentence}\n")),
            self.output.clone(),
            self.request.map(|request| format!("request: {request}\n")),
            self.hint.as_ref().map(|hint| format!("hint: {hint}\n")),
        ];
        lines.into_iter().flatten().collect()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let status = match problem.kind {
            Kind::Unauthenticated | Kind::Denied => status::REFUSED,
            Kind::NotFound => status::NOT_FOUND,
            Kind::Invalid | Kind::Conflict => status::UNFIT,
            Kind::Exhausted | Kind::Unavailable => status::UNAVAILABLE,
            Kind::Internal => status::UNEXPECTED,
        };
        let hint = match (problem.kind, problem.retry_after) {
            (Kind::Exhausted, Some(seconds)) => Some(format!("try again in {seconds} s")),
            _ => None,
        };
        let request = problem.request.filter(|_| problem.kind == Kind::Internal);
        Self { code: problem.code, hint, request, ..Self::new(status, problem.detail) }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(status::UNEXPECTED, format!("{error:#}"))
    }
}
