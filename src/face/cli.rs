//! The command line: types only.

mod emit;
mod examples;
mod share;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

use crate::base::names::{DomainName, ProjectName};
use crate::base::quantity::{Amount, ByteSize, Span};
use crate::observe::identity::{CacheKind, Fidelity, PackageMode};
use crate::output::{Color, LogFormat};
use crate::store::Wait;

pub(crate) use emit::{Consumer, EmitArgs};
pub(crate) use share::{PullArgs, PushArgs, ShareArgs, ShareVerb};

/// Keeps Cargo's target/ warm between mkosi image builds, and never serves a stale byte.
#[derive(Debug, Parser)]
#[command(name = "larder", version, max_term_width = 100, arg_required_else_help = true)]
#[command(subcommand_required = true, infer_subcommands = false)]
pub(crate) struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The store [default: /var/cache/larder for root, else `$XDG_CACHE_HOME/larder`]
    #[arg(long, global = true, value_name = "DIR", env = "LARDER_STORE")]
    pub store: Option<PathBuf>,
    /// Say where the time goes and what was decided
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Whether to colour what people read
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
    /// How lines on stderr are written
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    #[arg(env = "LARDER_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make the store and the mkosi configuration for the image repository in this directory
    #[command(after_long_help = examples::INIT)]
    Init(InitArgs),
    /// Make the store, and a project's target directory for a build command
    #[command(after_long_help = examples::PROVISION)]
    Provision(ProvisionArgs),
    /// Run a build command with the project's warm target directory attached
    #[command(after_long_help = examples::RUN)]
    Run(RunArgs),
    /// Build warm and cold, and compare every artifact byte for byte
    #[command(after_long_help = examples::VERIFY)]
    Verify(VerifyArgs),
    /// Show what the store holds
    #[command(after_long_help = examples::STATUS)]
    Status(StatusArgs),
    /// Say why the last build was cold or what it rebuilt, or how two directories differ
    #[command(after_long_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Show what happened in the store: uses, comparisons, collections
    #[command(after_long_help = examples::HISTORY)]
    History(HistoryArgs),
    /// Show what the store holds, saved, freed and is about to free, as one page for a browser
    #[command(after_long_help = examples::REPORT)]
    Report(ReportArgs),
    /// Delete what the policy in larder.toml does not keep
    #[command(after_long_help = examples::GC)]
    Gc(GcArgs),
    /// Keep target directories whatever the policy says
    #[command(after_long_help = examples::PIN)]
    Pin(PinArgs),
    /// Leave target directories to the policy again
    #[command(after_long_help = examples::UNPIN)]
    Unpin(PinArgs),
    /// Remove target directories of a project
    #[command(after_long_help = examples::RM)]
    Rm(RmArgs),
    /// Move the whole store to another directory, on any filesystem
    #[command(after_long_help = examples::MOVE)]
    Move(MoveArgs),
    /// Push a project's target directory to the repository that machines share
    #[command(after_long_help = examples::PUSH)]
    Push(PushArgs),
    /// Pull what another machine pushed, once every file of it is verified
    #[command(after_long_help = examples::PULL)]
    Pull(PullArgs),
    /// Look after the repository that machines share
    #[command(after_long_help = examples::SHARE)]
    Share(ShareArgs),
    /// Print configuration for a consumer of the store
    #[command(after_long_help = examples::EMIT)]
    Emit(EmitArgs),
    /// Write the manual pages into a directory
    #[command(after_long_help = examples::MAN)]
    Man(ManArgs),
    /// Check everything that has to hold here, each with its remedy
    #[command(after_long_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// Answer what compiles here (run by larder itself, inside a sandbox)
    #[command(hide = true)]
    Probe,
}

/// `larder init`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct InitArgs {
    /// The command that starts mkosi, split at spaces
    #[arg(long, value_name = "COMMAND", default_value = "mkosi")]
    pub mkosi: String,
    /// An image that is started by `--image-id NAME --include=images/NAME.conf`; can be given more
    /// than once
    #[arg(long, value_name = "NAME")]
    pub image: Vec<String>,
    /// Change the build scripts as is shown without this option, and add larder.sh beside them
    #[arg(long)]
    pub apply: bool,
    /// Change scripts that have changes which are not committed
    #[arg(long, requires = "apply")]
    pub force: bool,
    /// Take back what was done for this repository; the store stays
    #[arg(long, conflicts_with = "apply")]
    pub undo: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Arguments that your image builds give to mkosi, such as `--include=images/a.conf`
    #[arg(last = true, value_name = "MKOSI ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

/// `larder provision`
#[derive(Debug, Args)]
pub(crate) struct ProvisionArgs {
    /// The project
    pub project: ProjectName,
    /// The directory with the project's Cargo.toml or go.mod [default: .]
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// What is kept warm; can be given more than once [default: cargo for a Cargo.toml in --source, go for
    /// a go.mod]
    #[arg(long, value_enum, value_name = "CACHE")]
    pub with: Vec<CacheKind>,
    /// For whom it is built: builds of other domains never use what this one leaves [default:
    /// `$LARDER_DOMAIN`, else as in larder.toml]
    #[arg(long, value_name = "NAME")]
    pub domain: Option<DomainName>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// The build command: with it, the target directory that `larder run` will use is made
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `larder run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The project: a name for what is compiled
    pub project: ProjectName,
    /// The directory with the project's Cargo.toml or go.mod; its target/ is attached [default: .]
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// What is kept warm; can be given more than once [default: cargo for a Cargo.toml in --source, go for
    /// a go.mod]
    #[arg(long, value_enum, value_name = "CACHE")]
    pub with: Vec<CacheKind>,
    /// Which of the sandbox's packages make a directory of their own [default: as in larder.toml]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub packages: Option<PackageMode>,
    /// How far the build may be from a cold one [default: as in larder.toml]
    #[arg(long, value_enum, value_name = "HOW")]
    pub fidelity: Option<Fidelity>,
    /// How long to wait for a directory in use: `10m`, or `forever` [default: as in larder.toml]
    #[arg(long, value_name = "TIME", value_parser = crate::store::config::parse_wait)]
    pub wait: Option<Wait>,
    /// For whom it is built: builds of other domains never use what this one leaves [default:
    /// `$LARDER_DOMAIN`, else as in larder.toml]
    #[arg(long, value_name = "NAME")]
    pub domain: Option<DomainName>,
    /// Begin with a copy of what this domain left, where nothing is kept yet [default: as in larder.toml]
    #[arg(long, value_name = "NAME")]
    pub from: Option<DomainName>,
    /// Fail where there is no store, instead of making one; `larder_run` fails instead of running the command as it is
    #[arg(long, env = "LARDER_REQUIRE_STORE", value_parser = FalseyValueParser::new())]
    pub require_store: bool,
    /// Build in a copy of what is kept, leave programs and libraries in target/, and throw the rest away
    #[arg(long)]
    pub discard: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `larder verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// What `larder run` takes.
    #[command(flatten)]
    pub run: RunArgs,
}

/// `larder status`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct StatusArgs {
    /// Only this project, with the reasons of its last builds
    pub project: Option<ProjectName>,
    /// Show what each profile and crate takes
    #[arg(long, requires = "project")]
    pub detail: bool,
    /// Measure every directory again first, and mend the records
    #[arg(long)]
    pub rescan: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Print what Prometheus reads, of the whole store
    #[arg(long, conflicts_with_all = ["project", "json", "detail"])]
    pub prometheus: bool,
}

/// `larder explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The project
    pub project: ProjectName,
    /// Compare two directories of the project, by their ids as `larder status` shows them
    #[arg(long, num_args = 2, value_names = ["ID", "ID"])]
    pub between: Vec<String>,
    /// Print what the units of this package looked up when they were made, in the directory that was used last
    #[arg(long, value_name = "PACKAGE", conflicts_with = "between")]
    pub unit: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `larder history`
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Only what happened to this project
    pub project: Option<ProjectName>,
    /// Only what happened so recently: `7d`
    #[arg(long, value_name = "TIME")]
    pub since: Option<Span>,
    /// So many, the latest [default: 50; with --since or --json all]
    #[arg(long, value_name = "NUMBER")]
    pub last: Option<usize>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `larder report`
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Write the page into a file, in one step
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Measure what each crate takes, too
    #[arg(long)]
    pub detail: bool,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// `larder gc`
#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Print what would go, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What everything in the store may take together: `200GiB`
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,
    /// What has to be free on the store's filesystem: `20GiB`, or `10%` of it and of its inodes
    #[arg(long, value_name = "SIZE|SHARE")]
    pub min_free: Option<Amount>,
    /// How long a directory may stay unused: `30d`
    #[arg(long, value_name = "TIME")]
    pub max_age: Option<Span>,
    /// How many directories of each project stay, those used last
    #[arg(long, value_name = "NUMBER")]
    pub keep: Option<usize>,
    /// How recently a directory must have been used to stay in any case: `1h`
    #[arg(long, value_name = "TIME")]
    pub grace: Option<Span>,
    /// How many successful builds may pass before what they did not need goes
    #[arg(long, value_name = "NUMBER")]
    pub keep_units: Option<u64>,
    /// Write what Prometheus reads into a file, in one step: for a collector of text files
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub metrics: Option<PathBuf>,
    /// A project of which nothing goes; can be given more than once
    #[arg(long, value_name = "PROJECT")]
    pub pin: Vec<ProjectName>,
    /// Measure every directory again first, and mend the records
    #[arg(long)]
    pub rescan: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `larder pin`, `larder unpin`
#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// The project
    pub project: ProjectName,
    /// Its directories, by their ids as `larder status` shows them [default: all there are]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
}

/// `larder rm`
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The project
    pub project: ProjectName,
    /// Its directories, by their ids as `larder status` shows them [default: all there are]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `larder move`
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The new place: a directory that does not exist, or an empty one
    pub directory: PathBuf,
    /// How long to wait for those who use the store: `10m`, or `forever` [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = crate::store::config::parse_wait)]
    pub wait: Option<Wait>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `larder doctor`
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The command that starts mkosi, split at spaces
    #[arg(long, value_name = "COMMAND", default_value = "mkosi")]
    pub mkosi: String,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Arguments that your image builds give to mkosi, such as `--include=images/a.conf`
    #[arg(last = true, value_name = "MKOSI ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

/// `larder man`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The directory; it is made if it is not there
    pub directory: PathBuf,
}
