//! The command line: what can be asked for, and what is printed.

mod access;
mod account;
mod bill;
mod command;
mod connection;
mod context;
mod failure;
mod help;
mod instance;
mod job;
mod logs;
mod names;
mod node;
mod offer;
mod order;
mod output;
mod password;
mod progress;
mod publish;
mod queue;
mod reference;
mod release;
mod reset;
mod service;
mod session;
mod setup;
mod standing;
mod target;

use std::process::ExitCode;

use clap::{Args, FromArgMatches as _, Parser, Subcommand};

use crate::serve;

pub(crate) use failure::{Failure, status};

use connection::Connection;
use context::Context;

/// What a command comes to.
pub(crate) type Outcome = Result<(), Failure>;

/// Turns web applications into your own cloud.
#[derive(Debug, Parser)]
#[command(name = "mandate", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: Connection,
}

/// A command that asks the platform, and how it is reached.
#[derive(Debug, Args)]
struct With<T: Args> {
    #[command(flatten)]
    command: T,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the platform, or some of its components
    Up(Box<serve::UpArgs>),
    /// Run a node: fetch releases, run their replicas and jobs
    Agent(serve::AgentArgs),

    /// Open an account with its first user, who owns it
    Register(With<account::Register>),
    /// Begin a session
    SignIn(With<account::SignIn>),
    /// End the session
    SignOut(With<account::SignOut>),
    /// Passwords: change your own, or choose a new one by a link
    Password(With<reset::Password>),
    /// Say who is signed in
    Whoami(With<account::Whoami>),
    /// Accounts: list them, show one
    Account(With<account::Account>),
    /// The users of an account: add one, list them
    User(With<account::User>),

    /// What is on offer, with its prices
    Offer(With<offer::Offer>),
    /// Take an instance of a service
    Order(With<order::Order>),
    /// Instances: set up, change, suspend, close for maintenance
    Instance(With<instance::Instance>),

    /// What an instance's processes print
    Logs(With<logs::Logs>),

    /// Let somebody do something
    Grant(With<access::Grant>),
    /// Take a grant back, everywhere at once
    Revoke(With<access::Revoke>),
    /// List who may do what
    Grants(With<access::Grants>),
    /// Say whether somebody may do something, and why
    Can(With<access::Can>),
    /// List every permission there is
    Permissions(With<access::Permissions>),
    /// List who granted and revoked what
    Audit(With<access::Audit>),

    /// What is owed, and why
    Bill(With<bill::Bill>),

    /// Services: publish one, list them
    Service(With<service::Service>),
    /// The releases of a service: promote one, go back, see how far it is
    Release(With<release::Release>),
    /// The machines: list them, let one join, remove one
    Node(With<node::Node>),
    /// Where jobs wait: one queue for each service and class of its jobs
    Queue(With<queue::Queue>),
    /// Jobs: queue one, follow it, take it back, try it again
    Job(With<job::Job>),

    /// Print a component's OpenAPI 3.1 document, without a server
    Openapi(reference::Openapi),
    /// Print a shell's completions
    Completions(reference::Completions),
}

/// Reads the arguments, does what they ask for, and says how it went.
pub(crate) async fn main() -> ExitCode {
    let read = help::command().try_get_matches();
    let read = read.and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match read {
        Ok(arguments) => arguments,
        Err(error) => return written_wrongly(&error),
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Help, or what is wrong with the arguments; for a program, if that is asked for anywhere in them.
fn written_wrongly(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !std::env::args_os().any(|argument| argument == "--json") {
        error.exit();
    }
    Failure::usage(&error.render().to_string()).told_as_json(true).report()
}

async fn run(arguments: Arguments) -> Outcome {
    /// Opens the way to the platform and runs the command over it.
    macro_rules! over {
        ($with:ident) => {{
            let connection = $with.connection.or(arguments.connection);
            let is_json = connection.json();
            let done = async { $with.command.run(&Context::open(connection)?).await };
            done.await.map_err(|failure: Failure| failure.told_as_json(is_json))
        }};
    }
    match arguments.command {
        // A future as large as this one is better not on the stack.
        Command::Up(up) => {
            let usage = |wrong| {
                Failure::new(status::USAGE, wrong).hint("`mandate up --help` explains both")
            };
            up.check().map_err(usage)?;
            Box::pin(serve::up(*up)).await.map_err(Failure::from)
        }
        Command::Agent(agent) => serve::agent(agent).await.map_err(Failure::from),
        Command::Register(with) => over!(with),
        Command::SignIn(with) => over!(with),
        Command::SignOut(with) => over!(with),
        Command::Password(with) => over!(with),
        Command::Whoami(with) => over!(with),
        Command::Account(with) => over!(with),
        Command::User(with) => over!(with),
        Command::Offer(with) => over!(with),
        Command::Order(with) => over!(with),
        Command::Instance(with) => over!(with),
        Command::Logs(with) => over!(with),
        Command::Grant(with) => over!(with),
        Command::Revoke(with) => over!(with),
        Command::Grants(with) => over!(with),
        Command::Can(with) => over!(with),
        Command::Permissions(with) => over!(with),
        Command::Audit(with) => over!(with),
        Command::Bill(with) => over!(with),
        Command::Service(with) => over!(with),
        Command::Release(with) => over!(with),
        Command::Node(with) => over!(with),
        Command::Queue(with) => over!(with),
        Command::Job(with) => over!(with),
        Command::Openapi(openapi) => openapi.run(),
        Command::Completions(completions) => completions.run(),
    }
}
