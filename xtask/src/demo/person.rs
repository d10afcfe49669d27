//! A person at a command line: their own session, their own commands.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::process;

/// The command line.
pub(crate) const PROGRAM: &str = "target/debug/mandate";
/// The same for what is measured.
pub(crate) const FAST_PROGRAM: &str = "target/release/mandate";

/// Somebody who uses the command line.
pub(crate) struct Person {
    /// By which they sign in.
    pub(crate) email: String,
    password: String,
    home: PathBuf,
    url: String,
    program: &'static str,
}

impl Person {
    /// Somebody whose session is kept under the demo's folder.
    pub(crate) fn new(data: &Path, url: &str, name: &str, email: &str, password: &str) -> Self {
        Self {
            email: email.to_owned(),
            password: password.to_owned(),
            home: data.join("people").join(name),
            url: url.to_owned(),
            program: PROGRAM,
        }
    }

    /// The same, with another build of the command line.
    pub(crate) fn by(self, program: &'static str) -> Self {
        Self { program, ..self }
    }

    /// How they sign in, for people.
    pub(crate) fn sign_in(&self) -> String {
        format!("{} / {}", self.email, self.password)
    }

    /// What they send to sign in, for programs.
    pub(crate) fn credentials(&self) -> Value {
        serde_json::json!({ "email": self.email, "password": self.password })
    }

    /// Runs a command, written as in a shell; how it ended, whatever that is.
    pub(crate) async fn run(&self, line: &str) -> anyhow::Result<Output> {
        let mut command = Command::new(self.program);
        command.args(words(line));
        command.env("MANDATE_URL", &self.url).env("MANDATE_HOME", &self.home);
        command.env("MANDATE_PASSWORD", &self.password).env_remove("MANDATE_TOKEN");
        process::output(command).await
    }

    /// Runs a command that must succeed, and reads its JSON.
    pub(crate) async fn ask(&self, line: &str) -> anyhow::Result<Value> {
        let printed = self.read(&format!("{line} --json")).await?;
        let value = serde_json::from_str(&printed);
        value.with_context(|| format!("`mandate {line} --json` did not print JSON: {printed}"))
    }

    /// Runs a command that must succeed, and reads what it prints for people.
    pub(crate) async fn read(&self, line: &str) -> anyhow::Result<String> {
        let output = self.run(line).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`mandate {line}` failed ({}): {said}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command that must be refused with this exit code and these words; the sentence.
    pub(crate) async fn refused(
        &self,
        line: &str,
        code: i32,
        words: &str,
    ) -> anyhow::Result<String> {
        let output = self.run(line).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(code) {
            let status = output.status;
            bail!("`mandate {line}` should be refused with {code}, not end with {status}: {said}");
        }
        ensure!(said.contains(words), "`mandate {line}` should say `{words}`, not: {said}");
        let sentence = said.lines().find(|line| line.contains(words)).unwrap_or_default();
        Ok(sentence.trim().trim_start_matches("error: ").to_owned())
    }
}

/// The words of a command; what stands between `'` is one.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(
            |(place, part)| {
                if place % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }
            },
        )
        .collect()
}

/// A text in a reply, `/items/0/service`.
pub(crate) fn text<'a>(reply: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    let value = reply.pointer(pointer).and_then(Value::as_str);
    value.with_context(|| format!("the reply has no text at `{pointer}`: {reply}"))
}

/// A number in a reply.
pub(crate) fn number(reply: &Value, pointer: &str) -> anyhow::Result<i64> {
    let value = reply.pointer(pointer).and_then(Value::as_i64);
    value.with_context(|| format!("the reply has no whole number at `{pointer}`: {reply}"))
}

/// The entries of a list.
pub(crate) fn items(reply: &Value) -> anyhow::Result<&[Value]> {
    let items = reply.get("items").and_then(Value::as_array);
    items.map(Vec::as_slice).with_context(|| format!("the reply is not a list: {reply}"))
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_line_is_split_as_a_shell_does() {
        let line = "register 'The Bakery' --email ada@bakery.example";
        assert_eq!(words(line), ["register", "The Bakery", "--email", "ada@bakery.example"]);
    }
}
