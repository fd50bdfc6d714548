//! The command line as clap reads it. Its help texts are what the man pages and completions are made of.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::host::process::Signal;
use crate::supervisor::SupervisorKind;

/// Install and run daemons under each machine's own supervisor, here and over SSH
///
/// One manifest (unitbee.toml) names services and hosts. unitbee renders systemd user units, installs them here or over
/// SSH with nothing but sshd on the far side, and leaves the running to systemd; on a Mac to launchd. On a host without a
/// service manager it brings a small runner of its own.
#[derive(Debug, Parser)]
#[command(
    name = "unitbee",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  unitbee init             write a starter manifest
  unitbee plan             show what would change; exit 2 when something would
  unitbee apply -H gpu1    make gpu1 what the manifest says, healthy
  unitbee status --json    the state of everything, for machines

Exit codes: 0 done; 1 failed; 2 changes pending; 3 not running or not healthy;
4 rolled back, healthy; 5 rolled back, not healthy; 6 some hosts failed; 64 usage;
65 manifest invalid."
)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Manifest to read [default: unitbee.toml]
    #[arg(short = 'f', long, value_name = "FILE", global = true)]
    pub file: Option<Utf8PathBuf>,
    /// Host, tag, localhost, or anything ssh takes; may be given more than once
    #[arg(short = 'H', long = "host", value_name = "HOST", global = true)]
    pub hosts: Vec<String>,
    /// Print JSON: one document, or one object a line where things happen one after the other
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more: how hosts are talked to and how often; twice for a trace
    #[arg(short = 'v', long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Configuration file for ssh, instead of the user's own
    #[arg(long, value_name = "FILE", global = true)]
    pub ssh_config: Option<Utf8PathBuf>,
    /// Service manager to use, instead of the one that fits each host
    #[arg(long, value_name = "MANAGER", value_enum, global = true)]
    pub supervisor: Option<ManagerName>,
    /// Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s
    #[arg(long, value_name = "TIME", value_parser = duration, global = true)]
    pub connect_timeout: Option<Duration>,
}

/// A service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ManagerName {
    /// The user's systemd
    Systemd,
    /// launchd of macOS
    Launchd,
    /// The runner that unitbee brings along
    Runner,
}

impl From<ManagerName> for SupervisorKind {
    fn from(name: ManagerName) -> Self {
        match name {
            ManagerName::Systemd => Self::Systemd,
            ManagerName::Launchd => Self::Launchd,
            ManagerName::Runner => Self::Runner,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a starter manifest
    #[command(after_help = "Example:\n  unitbee init && $EDITOR unitbee.toml")]
    Init(Init),
    /// Print the files that a manifest becomes, or write them to a folder; no host is touched
    #[command(after_help = "Examples:\n  unitbee render llm --out units/\n  unitbee render llm --launchd")]
    Render(Render),
    /// Check the rendered files with systemd-analyze or plutil, where there is one
    #[command(after_help = "Example:\n  unitbee verify")]
    Verify(Verify),
    /// Show what apply would change; exit 2 when something would
    #[command(after_help = "Example:\n  unitbee plan -H gpu || echo something to do")]
    Plan(Converge),
    /// Make hosts what the manifest says, and wait until everything started is healthy
    #[command(after_help = "Example:\n  unitbee apply llm -H gpu1 -H gpu2")]
    Apply(Apply),
    /// Run the build commands of services on this machine, and show the output of one that fails
    #[command(after_help = "Example:\n  unitbee build llm")]
    Build(Services),
    /// Build and, when that succeeds, apply
    #[command(after_help = "Example:\n  unitbee rebuild llm -H gpu1")]
    Rebuild(Apply),
    /// Install one service, from the manifest or from flags
    #[command(
        name = "install-unit",
        alias = "install",
        after_help = "Example:\n  unitbee install-unit web -H box --memory 1G -- ./web --port 8080"
    )]
    InstallUnit(Box<InstallUnit>),
    /// Stop, disable and remove units, and prove that they are gone
    #[command(after_help = "Example:\n  unitbee uninstall llm-8080 -H gpu1")]
    Uninstall(Uninstall),
    /// Put an earlier release of units back, and wait until it is healthy
    #[command(after_help = "Examples:\n  unitbee rollback llm\n  unitbee rollback llm-8080 --to 3")]
    Rollback(Rollback),
    /// Show the releases that hosts keep, and who changed what
    #[command(after_help = "Example:\n  unitbee history llm -H gpu1")]
    History(Services),
    /// Remove releases that are not needed any more
    #[command(after_help = "Examples:\n  unitbee prune\n  unitbee prune llm --secrets")]
    Prune(Prune),
    /// Start units and wait until they are healthy
    #[command(after_help = "Example:\n  unitbee start llm")]
    Start(Changing),
    /// Stop units: shutdown URL, TERM, KILL, and the proof that nothing is left
    #[command(
        after_help = "Examples:\n  unitbee stop llm-8080\n  unitbee stop --yes       all of the manifest, without asking"
    )]
    Stop(Stop),
    /// Stop units and start them again, one after the other
    #[command(after_help = "Example:\n  unitbee restart llm -H gpu1")]
    Restart(Changing),
    /// Have units read their configuration again, by their own reload command
    #[command(after_help = "Example:\n  unitbee reload web")]
    Reload(Changing),
    /// Send a signal to units
    #[command(after_help = "Example:\n  unitbee kill --signal USR1 web")]
    Kill(Kill),
    /// Have units started at boot
    #[command(after_help = "Example:\n  unitbee enable llm")]
    Enable(Changing),
    /// Have units no longer started at boot
    #[command(after_help = "Example:\n  unitbee disable llm")]
    Disable(Changing),
    /// Make sure that installed units run and are healthy
    #[command(after_help = "Example:\n  unitbee ensure llm")]
    Ensure(Changing),
    /// Wait until units run and are healthy
    #[command(after_help = "Example:\n  unitbee wait llm && curl http://127.0.0.1:8080/")]
    Wait(Services),
    /// Show state, reason and flags of units; exit 3 when one is not running or not healthy
    #[command(after_help = "Example:\n  unitbee status llm --json")]
    Status(Services),
    /// Show what units said
    #[command(after_help = "Example:\n  unitbee logs -f llm-8080 -H gpu1")]
    Logs(Logs),
    /// Show the whole job on a tiny daemon: install, look, read its logs, stop, remove; nothing of it stays
    #[command(after_help = "Example:\n  unitbee demo -H gpu1")]
    Demo {
        /// Whose supervisor runs it, where that is launchd
        #[arg(long, value_name = "WHOSE", value_enum)]
        scope: Option<ScopeName>,
        /// Be the daemon, on this port of loopback
        #[arg(long, value_name = "PORT", hide = true)]
        serve: Option<u16>,
    },
    /// Print completions for a shell
    #[command(after_help = "Example:\n  unitbee completions bash > ~/.local/share/bash-completion/completions/unitbee")]
    Completions {
        /// Shell.
        shell: Shell,
    },
    /// Write man pages to a folder
    #[command(after_help = "Example:\n  unitbee man ~/.local/share/man/man1")]
    Man {
        /// Folder.
        folder: Utf8PathBuf,
    },
    /// Print the JSON schema of the manifest
    #[command(after_help = "Example:\n  unitbee schema > unitbee.schema.json")]
    Schema,
}

/// Names of services.
#[derive(Debug, Clone, Args)]
pub struct Services {
    /// Services, units (llm-8080) or globs (llm-*) [default: all of the manifest]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Name of the first service
    #[arg(default_value = "web")]
    pub service: String,
    /// Overwrite a manifest that is there
    #[arg(long)]
    pub force: bool,
}

/// `render`.
#[derive(Debug, Args)]
pub struct Render {
    /// Names of services.
    #[command(flatten)]
    pub services: Services,
    /// Folder to write the files to, instead of printing them
    #[arg(short, long, value_name = "FOLDER")]
    pub out: Option<Utf8PathBuf>,
    /// Version of systemd to render for [default: the newest known]
    #[arg(long, value_name = "VERSION")]
    pub systemd: Option<u32>,
    /// Render property lists for launchd instead of units
    #[arg(long, conflicts_with = "systemd")]
    pub launchd: bool,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Names of services.
    #[command(flatten)]
    pub services: Services,
    /// Check property lists for launchd instead of units
    #[arg(long)]
    pub launchd: bool,
}

/// What verbs that converge have in common.
#[derive(Debug, Clone, Args)]
pub struct Converge {
    /// Names of services.
    #[command(flatten)]
    pub services: Services,
    /// Overwrite files of ours that were edited by hand, and take over units of other projects
    #[arg(long, conflicts_with = "keep")]
    pub take: bool,
    /// Move what was edited by hand in a unit file of ours into a drop-in
    #[arg(long)]
    pub keep: bool,
}

/// Options of verbs that change a host.
#[derive(Debug, Clone, Copy, Args)]
pub struct Locking {
    /// How long to wait for another unitbee that is at work on a host
    #[arg(long, value_name = "TIME", default_value = "5min", value_parser = duration)]
    pub lock_wait: Duration,
}

/// Verbs that change units.
#[derive(Debug, Clone, Args)]
pub struct Changing {
    /// Names of services.
    #[command(flatten)]
    pub services: Services,
    /// The lock.
    #[command(flatten)]
    pub locking: Locking,
}

/// `stop`.
#[derive(Debug, Clone, Args)]
pub struct Stop {
    /// What is stopped.
    #[command(flatten)]
    pub changing: Changing,
    /// The question.
    #[command(flatten)]
    pub confirm: Confirm,
}

/// Options of verbs that ask at a terminal before they end all that the manifest names.
#[derive(Debug, Clone, Copy, Args)]
pub struct Confirm {
    /// Do not ask; without names, this ends all units of the manifest
    #[arg(short, long)]
    pub yes: bool,
}

/// `uninstall`.
#[derive(Debug, Clone, Args)]
pub struct Uninstall {
    /// What is removed.
    #[command(flatten)]
    pub changing: Changing,
    /// The question.
    #[command(flatten)]
    pub confirm: Confirm,
    /// Remove units of other projects too
    #[arg(long)]
    pub take: bool,
}

/// What is done when a release does not pass its gate.
#[derive(Debug, Clone, Copy, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Gating {
    /// Try a release again that failed before
    #[arg(long)]
    pub retry: bool,
    /// Leave a release in place that fails, instead of rolling back
    #[arg(long, conflicts_with = "atomic")]
    pub no_rollback: bool,
    /// Leave a unit in place whose first release fails, instead of removing it
    #[arg(long)]
    pub keep_failed: bool,
    /// Roll back the units of a host that succeeded too, when one fails
    #[arg(long)]
    pub atomic: bool,
}

/// `apply`.
#[derive(Debug, Clone, Args)]
pub struct Apply {
    /// What is converged.
    #[command(flatten)]
    pub converge: Converge,
    /// When a release fails.
    #[command(flatten)]
    pub gating: Gating,
    /// Remove units that are not in the manifest any more
    #[arg(long)]
    pub prune: bool,
    /// The lock.
    #[command(flatten)]
    pub locking: Locking,
    /// Fail where a limit of the manifest does not hold
    #[arg(long)]
    pub strict_limits: bool,
}

/// `rollback`.
#[derive(Debug, Clone, Args)]
pub struct Rollback {
    /// Names of services.
    #[command(flatten)]
    pub services: Services,
    /// Release to go back to [default: the last good one before the one in effect]
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<u32>,
    /// Leave that release in place even if it fails
    #[arg(long)]
    pub no_rollback: bool,
    /// The lock.
    #[command(flatten)]
    pub locking: Locking,
}

/// `prune`.
#[derive(Debug, Clone, Args)]
pub struct Prune {
    /// Names of services.
    #[command(flatten)]
    pub services: Services,
    /// Remove the secrets of all releases that are not in effect, and with them the way back
    #[arg(long)]
    pub secrets: bool,
    /// The lock.
    #[command(flatten)]
    pub locking: Locking,
}

/// `install-unit`.
#[derive(Debug, Args)]
pub struct InstallUnit {
    /// Service
    pub service: String,
    /// The lock.
    #[command(flatten)]
    pub locking: Locking,
    /// Overwrite a unit file of ours that was edited by hand, and take the unit over from another project
    #[arg(long, conflicts_with = "keep")]
    pub take: bool,
    /// Move what was edited by hand in the unit file into a drop-in
    #[arg(long)]
    pub keep: bool,
    /// When the release fails.
    #[command(flatten)]
    pub gating: Gating,
    /// Fail where a limit does not hold
    #[arg(long)]
    pub strict_limits: bool,
    /// Argument for a short run of the program on the host before a new release takes effect, such as --version
    #[arg(long, value_name = "ARG", requires = "command", allow_hyphen_values = true)]
    pub check: Vec<String>,
    /// Environment variable
    #[arg(long, value_name = "NAME=VALUE", requires = "command")]
    pub env: Vec<String>,
    /// Variable of this shell that is kept secret
    #[arg(long, value_name = "NAME", requires = "command")]
    pub secret: Vec<String>,
    /// Working directory on the host
    #[arg(long, value_name = "PATH", requires = "command")]
    pub working_dir: Option<String>,
    /// CPU cap in percent of one core: 200%
    #[arg(long, value_name = "PERCENT", requires = "command")]
    pub cpu: Option<String>,
    /// Memory cap: 4G
    #[arg(long, value_name = "SIZE", requires = "command")]
    pub memory: Option<String>,
    /// Cap on processes and threads
    #[arg(long, value_name = "N", requires = "command")]
    pub tasks: Option<u64>,
    /// Cap on open files
    #[arg(long, value_name = "N", requires = "command")]
    pub nofile: Option<u64>,
    /// Whose supervisor runs it, where that is launchd
    #[arg(long, value_name = "WHOSE", value_enum, requires = "command")]
    pub scope: Option<ScopeName>,
    /// When it is started again
    #[arg(long, value_name = "WHEN", value_enum, requires = "command")]
    pub restart: Option<When>,
    /// URL that a healthy service answers with 2xx
    #[arg(long, value_name = "URL", requires = "command")]
    pub health: Option<String>,
    /// How long it may take to get healthy
    #[arg(long, value_name = "TIME", requires = "command")]
    pub within: Option<String>,
    /// URL that gets a POST before the service is signalled
    #[arg(long, value_name = "URL", requires = "command")]
    pub stop: Option<String>,
    /// The program and its arguments; without it the service is that of the manifest
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// When a service is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// After an end that is a failure
    OnFailure,
    /// After every end that nobody asked for
    Always,
    /// Never
    No,
}

impl When {
    /// As the manifest writes it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::OnFailure => "on-failure",
            Self::Always => "always",
            Self::No => "no",
        }
    }
}

/// Whose supervisor runs a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeName {
    /// The user's own
    User,
    /// The machine's: it runs as the user from boot on, and sudo installs it
    System,
}

impl ScopeName {
    /// As the manifest writes it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::System => "system",
        }
    }
}

/// `kill`.
#[derive(Debug, Args)]
pub struct Kill {
    /// What is signalled.
    #[command(flatten)]
    pub changing: Changing,
    /// Signal to send
    #[arg(short, long, value_enum, default_value = "term", ignore_case = true)]
    pub signal: SignalName,
    /// Send it to every process of the unit, not only to its main process
    #[arg(long)]
    pub all: bool,
}

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "signal(7) says what they are")]
pub enum SignalName {
    Term,
    Kill,
    Hup,
    Int,
    Usr1,
    Usr2,
    Quit,
}

impl From<SignalName> for Signal {
    fn from(name: SignalName) -> Self {
        match name {
            SignalName::Term => Self::Term,
            SignalName::Kill => Self::Kill,
            SignalName::Hup => Self::Hup,
            SignalName::Int => Self::Int,
            SignalName::Usr1 => Self::Usr1,
            SignalName::Usr2 => Self::Usr2,
            SignalName::Quit => Self::Quit,
        }
    }
}

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Names of services.
    #[command(flatten)]
    pub services: Services,
    /// Manifest to read [default: unitbee.toml]
    // Takes the place of the global option, whose short form means something else here, as in journalctl.
    #[arg(id = "file", long = "file", value_name = "FILE")]
    pub file: Option<Utf8PathBuf>,
    /// Go on showing lines as they are written
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Newest lines to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub lines: u32,
    /// Print what services wrote byte for byte, control characters too
    #[arg(long)]
    pub raw: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::service::manifest::duration(text)
}
