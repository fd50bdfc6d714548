//! What the user sees: verbs, their options, their words, their exit codes.

pub mod args;
pub mod exit;
pub mod fault;
mod installed;
mod interrupt;
pub mod output;
pub mod verbs;
pub mod work;

use std::ffi::OsString;
use std::io;

use anyhow::Result;
use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::args::{Cli, Verb};
use self::exit::Exit;
use self::fault::{BadManifest, Usage};
use self::output::Output;
use self::verbs::{apply, build, demo, files, lifecycle, logs, plan, releases, status, uninstall};
use crate::service::manifest::SelectError;

/// Reads the command line, does what it says, and says how that went.
pub async fn main(words: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is nothing to complain about.
            error.print().ok();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let output = Output { json: cli.global.json, verbose: cli.global.verbose };
    trace(cli.global.verbose);
    match run(cli, output).await {
        Ok(exit) => exit,
        Err(error) => fail(&error, output),
    }
}

async fn run(cli: Cli, output: Output) -> Result<Exit> {
    let global = &cli.global;
    match &cli.verb {
        Verb::Init(args) => files::init(global, args, output).await,
        Verb::Render(args) => files::render(global, args, output).await,
        Verb::Verify(args) => files::verify(global, args, output).await,
        Verb::Plan(args) => plan::plan(global, args, output).await,
        Verb::Apply(args) => apply::apply_all(global, args, output).await,
        Verb::Build(args) => build::build(global, args, output).await,
        Verb::Rebuild(args) => build::rebuild(global, args, output).await,
        Verb::InstallUnit(args) => apply::install(global, args, output).await,
        Verb::Uninstall(args) => uninstall::uninstall_all(global, args, output).await,
        Verb::Rollback(args) => releases::rollback(global, args, output).await,
        Verb::History(args) => releases::history(global, args, output).await,
        Verb::Prune(args) => releases::prune(global, args, output).await,
        Verb::Start(args) => lifecycle::run(global, args, lifecycle::Verb::Start, output).await,
        Verb::Stop(args) => lifecycle::stop(global, args, output).await,
        Verb::Restart(args) => lifecycle::run(global, args, lifecycle::Verb::Restart, output).await,
        Verb::Reload(args) => lifecycle::run(global, args, lifecycle::Verb::Reload, output).await,
        Verb::Kill(args) => lifecycle::kill(global, args, output).await,
        Verb::Enable(args) => lifecycle::run(global, args, lifecycle::Verb::Enable, output).await,
        Verb::Disable(args) => lifecycle::run(global, args, lifecycle::Verb::Disable, output).await,
        Verb::Ensure(args) => lifecycle::run(global, args, lifecycle::Verb::Ensure, output).await,
        Verb::Wait(args) => lifecycle::wait(global, args, output).await,
        Verb::Status(args) => status::status(global, args, output).await,
        Verb::Logs(args) => logs::logs(global, args, output).await,
        Verb::Demo { serve: Some(port), .. } => demo::serve(*port).await,
        Verb::Demo { serve: None, scope } => demo::demo(global, *scope, output).await,
        Verb::Completions { shell } => files::completions(*shell, output),
        Verb::Man { folder } => files::man(folder, output).await,
        Verb::Schema => files::schema(output),
    }
}

/// Shows an error that ended everything.
fn fail(error: &anyhow::Error, output: Output) -> Exit {
    if error.chain().any(is_broken_pipe) {
        return Exit::Done;
    }
    if output.json {
        output.document(&fault::value(error)).ok();
    } else {
        let color = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
        output::progress::note(fault::text(error, color).trim_end());
    }
    if error.is::<BadManifest>() {
        Exit::Manifest
    } else if error.is::<Usage>() || error.is::<SelectError>() {
        Exit::Usage
    } else {
        Exit::Failed
    }
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// `RUST_LOG` as everywhere, else what `-vv` asks for, on standard error.
fn trace(verbose: u8) {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = match (wanted, verbose) {
        (Some(targets), _) => targets,
        (None, 0 | 1) => return,
        (None, 2) => Targets::new().with_target("unitbee", LevelFilter::DEBUG),
        (None, _) => Targets::new().with_target("unitbee", LevelFilter::TRACE),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).without_time();
    tracing_subscriber::registry().with(layer).with(filter).init();
}
