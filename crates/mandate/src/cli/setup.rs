//! The set-up of an instance: what it asks for, sending it, and watching its steps.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    configurator::{
        GetInstance, GetSetup, InstanceState, Setup, SetupField, SetupStep, SubmitSetup,
    },
    jobs::JobState,
    manifest::FieldKind,
};
use clap::Args;
use types::{AccountId, InstanceId, Name, Secret};

use super::{
    Failure, Outcome,
    context::Context,
    failure::failed,
    output::{Table, word},
    password,
    progress::Progress,
    standing, status,
    target::Which,
};

#[derive(Debug, Args)]
pub(super) struct SetUp {
    #[command(flatten)]
    which: Which,
    /// The fields' values; without any, the fields are shown. `KEY` alone takes the value from a
    /// prompt that does not show it, or from a line of standard input: for passwords
    #[arg(value_name = "KEY=VALUE")]
    values: Vec<String>,
    /// Send the set-up although no value is given: every field has its default
    #[arg(long, conflicts_with = "values")]
    defaults: bool,
    /// Say that the application has what it asked for at a page of its own: everybody may come in
    #[arg(long, conflicts_with_all = ["values", "defaults"])]
    done: bool,
    /// Show each step until the instance is open and answers
    #[arg(long)]
    wait: bool,
}

impl SetUp {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let which = &self.which;
        let (account, instance) = cx.instance_id(which.account, &which.instance).await?;
        let mut progress = Progress::begin(cx);
        let mut setup = cx.ask(GetSetup { account, instance }).await?;
        let is_done = matches!(setup.state, InstanceState::SettingUp | InstanceState::Open);
        if !self.values.is_empty() || (self.defaults || self.done) && !is_done {
            let values = values(&self.values)?;
            may_be_sent(&setup)?;
            setup = cx.ask(SubmitSetup { account, instance, key: None, values }).await?;
            check(&setup)?;
        }
        if let Some(path) = setup.path.as_ref().filter(|_| self.wait) {
            return Err(asks_itself(&which.instance, path));
        }
        if self.wait {
            setup = opened(cx, &mut progress, account, instance).await?;
            standing::answers(cx, &mut progress, account, instance).await?;
        }
        if !self.wait || cx.json() {
            let open = setup.state == InstanceState::Open;
            let not_yet = if open { standing::not_yet(cx, account, instance).await } else { None };
            return cx.show(&setup, |setup| shown(setup, not_yet));
        }
        // Each step has been told; what is new is where the instance is found.
        let instance = cx.ask(GetInstance { account, instance }).await?;
        cx.show(&instance, |instance| {
            format!("\n{}{}", standing::shown(instance), said(&setup, &instance.service))
        })
    }
}

/// What the application has printed for whoever set it up, such as the link of its administrator.
fn said(setup: &Setup, service: &Name) -> String {
    let seed = setup.steps.iter().rfind(|step| step.name == "seed");
    match seed.map(|step| step.output.trim()).filter(|output| !output.is_empty()) {
        Some(output) => {
            let lines = output.lines().map(|line| format!("\n  {line}"));
            format!("\n\n{service} says:{}", lines.collect::<String>())
        }
        None => String::new(),
    }
}

fn values(given: &[String]) -> Result<BTreeMap<String, Secret>, Failure> {
    let mut values = BTreeMap::new();
    for text in given {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Secret::new(value)),
            None => (text.as_str(), password::unseen(text)?),
        };
        if values.insert(key.to_owned(), value).is_some() {
            return Err(Failure::new(
                status::USAGE,
                format!("`{key}` is given twice; give it once"),
            ));
        }
    }
    Ok(values)
}

/// Values that nobody would take are not sent.
fn may_be_sent(setup: &Setup) -> Outcome {
    let done = match setup.state {
        InstanceState::SettingUp => "the set-up is under way with the values that were sent before",
        InstanceState::Open => "the instance is set up and open",
        InstanceState::Creating | InstanceState::AwaitingSetup | InstanceState::Failed => {
            return Ok(());
        }
    };
    let sentence = format!("{done}: nothing was sent");
    Err(Failure::new(status::UNFIT, sentence)
        .hint("without values, `mandate instance setup INSTANCE` shows how far it is"))
}

/// A set-up that was sent and has not begun says what is wrong.
fn check(setup: &Setup) -> Outcome {
    if !matches!(setup.state, InstanceState::AwaitingSetup | InstanceState::Failed) {
        return Ok(());
    }
    let wrong = |field: &SetupField| Some(format!("`{}`: {}", field.name, field.problem.as_ref()?));
    let wrong = setup.fields.iter().filter_map(wrong).chain(setup.problem.clone());
    let wrong = wrong.collect::<Vec<_>>().join("; ");
    Err(Failure::new(status::UNFIT, format!("the set-up cannot begin: {wrong}"))
        .output("it asks for", &fields(&setup.fields)))
}

/// Nobody but the application knows what it asks for, and nobody but a person when that is done.
fn asks_itself(instance: &str, path: &str) -> Failure {
    let sentence = format!("the application asks for its set-up itself, at its page `{path}`");
    Failure::new(status::UNFIT, sentence).hint(format!(
        "`mandate instance show {instance}` has the link; then say `mandate instance setup \
         {instance} --done`"
    ))
}

async fn opened(
    cx: &Context,
    progress: &mut Progress,
    account: AccountId,
    instance: InstanceId,
) -> Result<Setup, Failure> {
    let mut told = BTreeSet::new();
    let look = || cx.ask(GetSetup { account, instance });
    let done = |progress: &mut Progress, setup: Setup| {
        for step in &setup.steps {
            // Steps may pass between two looks, so each is told once and none is left out.
            if !step.state.waits() && told.insert((step.job, word(&step.state))) {
                progress.say(&format!("{} {}", step.name, word(&step.state)))?;
            }
        }
        if let Some(waits) = waits(&setup)
            && told.insert((waits.0.job, waits.1.clone()))
        {
            progress.say(&format!("{} waits for {}", waits.0.name, waits.1))?;
        }
        match setup.state {
            InstanceState::Open => Ok(Some(setup)),
            InstanceState::Failed => Err(why(&setup)),
            InstanceState::AwaitingSetup => {
                let sentence = "the instance waits for its set-up, and no values were given";
                Err(Failure::new(status::UNFIT, sentence)
                    .output("it asks for", &fields(&setup.fields)))
            }
            state => {
                if setup.steps.iter().all(|step| step.state.waits()) {
                    progress.say(standing::state_sentence(state))?;
                }
                Ok(None)
            }
        }
    };
    progress.until(look, done).await
}

/// The next step, if it waits, and for what.
fn waits(setup: &Setup) -> Option<(&SetupStep, &String)> {
    let next = setup.steps.iter().find(|step| step.state != JobState::Succeeded)?;
    Some((next, next.waits_for.as_ref()?))
}

/// The failure with what the step that failed has printed.
fn why(setup: &Setup) -> Failure {
    let failure = failed("the set-up failed", setup.problem.clone());
    let step = setup.steps.iter().find(|step| step.state == JobState::Failed);
    match step.filter(|step| !step.output.trim().is_empty()) {
        Some(step) => failure.output(format!("`{}` printed", step.name), &step.output),
        None => failure,
    }
}

/// How far a set-up is; `not_yet` is what an instance that is open waits for before it answers.
fn shown(setup: &Setup, not_yet: Option<String>) -> String {
    let mut text = match not_yet {
        Some(what) => format!("the instance is set up; nothing answers yet: it waits for {what}"),
        None => standing::state_sentence(setup.state).to_owned(),
    };
    if let Some(problem) = &setup.problem {
        text = format!("{text}: {problem}");
    }
    if !setup.steps.is_empty() {
        let steps = Table::of(&["STEP", "STATE", "JOB"], &setup.steps, |table, step| {
            table.row([&step.name, &word(&step.state), &step.job]);
        });
        text = format!("{text}\n\n{steps}");
        if let Some((step, what)) = waits(setup) {
            text = format!("{text}\n\n`{}` waits for {what}.", step.name);
        }
    }
    if let Some(path) = &setup.path {
        return format!(
            "{text}\n\nThe application asks for what it needs at its page `{path}`, to which the \
             set-up link leads that `mandate instance show INSTANCE` has; when that is done, \
             `mandate instance setup INSTANCE --done` lets everybody in."
        );
    }
    if setup.steps.is_empty() || setup.state == InstanceState::Failed {
        text = format!("{text}\n\n{}", fields(&setup.fields));
    }
    text
}

fn fields(fields: &[SetupField]) -> String {
    if fields.is_empty() {
        return "It asks for nothing; `--defaults` sets it up.".to_owned();
    }
    let table = Table::of(&["FIELD", "WHAT", "TYPE", "IF LEFT OUT"], fields, |table, field| {
        let SetupField { name, field, .. } = field;
        let kind = match field.kind {
            FieldKind::Choice => field.options.join(" | "),
            kind => word(&kind),
        };
        let default = field.default.clone().unwrap_or_else(|| "it must be given".to_owned());
        table.row([name, &field.label, &kind, &default]);
    });
    format!("{table}\n\n`mandate instance setup INSTANCE KEY=VALUE … --wait` sends it.")
}
