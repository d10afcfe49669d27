//! What processes print, as it is printed.

use std::time::Duration;

use api::releases::{LogPart, Logs as Read, ReadInstanceLogs, ReadServiceLogs};
use clap::Args;
use types::{AccountId, InstanceId, Name};

use super::{Failure, Outcome, context::Context, output, status};

/// How long to wait before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What an instance's processes print
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mandate logs bakery-store.localhost -f
  mandate logs bakery-store.localhost --process worker --lines 500")]
pub(crate) struct Logs {
    /// Which instance: its id, or its host
    #[arg(value_name = "INSTANCE", required_unless_present = "service")]
    instance: Option<String>,
    /// Only if it is of this account
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Of the processes of a service that serve all its instances; for operators
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["instance", "account"])]
    service: Option<Name>,
    /// Of this process only, such as `web`
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// The last so many lines of each
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(0..=1_000))]
    lines: u32,
    /// Go on as more is printed
    #[arg(short, long)]
    follow: bool,
}

/// Whose processes are meant.
enum Whose {
    Instance(AccountId, InstanceId),
    Service(Name),
}

impl Logs {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let whose = match (&self.service, &self.instance) {
            (Some(service), _) => Whose::Service(service.clone()),
            (None, Some(instance)) => {
                let (account, instance) = cx.instance_id(self.account, instance).await?;
                Whose::Instance(account, instance)
            }
            (None, None) => return Err(Failure::new(status::USAGE, "no instance is named")),
        };
        let mut read = self.read(cx, &whose, None).await?;
        if !self.follow {
            return cx.show(&read, |read| lines(&read.parts, names_are_needed(&read.parts)));
        }
        let mut are_many = names_are_needed(&read.parts);
        loop {
            let text = if cx.json() {
                serde_json::to_string(&read).unwrap_or_default()
            } else {
                lines(&read.parts, are_many)
            };
            if read.parts.iter().any(|part| !part.text.is_empty()) {
                output::print(&text)?;
            }
            // What has more to say is asked at once.
            if !read.parts.iter().any(|part| part.text.len() > MUCH) {
                tokio::time::sleep(PAUSE).await;
            }
            read = loop {
                match self.read(cx, &whose, Some(read.next.clone())).await {
                    // A replica that is started again, or a platform that is, comes back.
                    Err(failure) if failure.is_unavailable() => tokio::time::sleep(PAUSE).await,
                    answer => break answer?,
                }
            };
            are_many |= names_are_needed(&read.parts);
        }
    }

    async fn read(
        &self,
        cx: &Context,
        whose: &Whose,
        after: Option<String>,
    ) -> Result<Read, Failure> {
        let (process, lines) = (self.process.clone(), Some(self.lines));
        match whose {
            Whose::Instance(account, instance) => {
                let (account, instance) = (*account, *instance);
                cx.ask(ReadInstanceLogs { account, instance, process, lines, after }).await
            }
            Whose::Service(service) => {
                let service = service.clone();
                cx.ask(ReadServiceLogs { service, process, lines, after }).await
            }
        }
    }
}

/// An answer with so many bytes of one replica has perhaps not told all.
const MUCH: usize = 16 << 10;

fn names_are_needed(parts: &[LogPart]) -> bool {
    parts.len() > 1
}

/// The lines, each with whose it is if there are several.
fn lines(parts: &[LogPart], are_many: bool) -> String {
    let of = |part: &LogPart| {
        let name = format!("{}.{} | ", part.process, part.index);
        let name = if are_many { name } else { String::new() };
        part.text.lines().map(|line| format!("{name}{line}")).collect::<Vec<_>>()
    };
    parts.iter().flat_map(of).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::releases::LogPlace;
    use types::ReplicaId;

    #[test]
    fn lines_say_whose_they_are_where_there_are_several() {
        let part = |process: &str, index: u32, text: &str| LogPart {
            replica: ReplicaId::named(&[process, &index.to_string()]),
            process: process.to_owned(),
            index,
            text: text.to_owned(),
            place: LogPlace { start: 1, file: 1, offset: 1 },
        };
        let parts = [part("web", 0, "a\nb\n"), part("worker", 1, "c\n")];
        assert_eq!(lines(&parts, true), "web.0 | a\nweb.0 | b\nworker.1 | c");
        assert_eq!(lines(&parts[..1], false), "a\nb");
    }
}
