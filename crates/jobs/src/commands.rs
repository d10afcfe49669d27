//! Commands that are run once: a program that the manifest names, with arguments of whoever asks.

use api::jobs::{COMMAND_CLASS, COMMAND_JOB, Enqueued, Gate, JobDefinition, NewJob, RunCommand};
use chassis::Write;
use types::{JobId, Name};

use crate::{
    Error, State as Memory,
    enqueue::{gates, insert, planned, target},
    model::is_command,
    releases::definitions_of,
    store,
};

pub(crate) async fn run_command(cx: &mut Write<Memory>, op: RunCommand) -> Result<Enqueued, Error> {
    let to = target(cx, op.account, op.instance).await?;
    let known = definitions_of(cx, &to.service, to.release.as_ref()).await?;
    let definition = definition(&to.service, known.jobs.get(COMMAND_JOB), &op.command)?;
    let queues = store::queues_of(cx.tx(), &to.service).await?;
    let queue = queues.iter().find(|queue| queue.class == COMMAND_CLASS);
    let gate = queue.map_or(Gate::Open, |queue| queue.gate);
    let gate = gates(to.gate, gate, (&to.service, COMMAND_CLASS))?;
    let payload = op.command.into();
    let new = NewJob { name: COMMAND_JOB.to_owned(), payload, ..NewJob::default() };
    let (now, job) = (cx.now(), JobId::new(cx.now()));
    let planned = planned(&to, definition, (job, new), 1, gate == Gate::Hold, now)?;
    insert(cx, &to, vec![planned]).await?;
    Ok(Enqueued { jobs: vec![job] })
}

fn definition<'d>(
    service: &Name,
    definition: Option<&'d JobDefinition>,
    command: &[String],
) -> Result<&'d JobDefinition, Error> {
    if !is_command(command) {
        return Err(Error::Command);
    }
    let service = || service.clone();
    let definition = definition.ok_or_else(|| Error::NoCommands { service: service() })?;
    let program = command.first().map_or("", String::as_str);
    if definition.programs.iter().any(|known| known == program) {
        return Ok(definition);
    }
    let known: Vec<String> = definition.programs.iter().map(|known| format!("`{known}`")).collect();
    let program = program.chars().take(80).collect();
    Err(Error::NoSuchCommand { service: service(), program, known: known.join(", ") })
}
