//! The commands that share target directories between machines.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::examples;
use crate::base::names::{DomainName, ProjectName};

/// `larder push`
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The project
    pub project: ProjectName,
    /// The directory, by its id as `larder status` shows it [default: the one used last]
    #[arg(long, value_name = "ID")]
    pub toolchain: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `larder pull`
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The project
    pub project: ProjectName,
    /// The directory with the project's Cargo.toml [default: .]
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// For whom it is built: builds of other domains never use what this one leaves [default:
    /// `$LARDER_DOMAIN`, else as in larder.toml]
    #[arg(long, value_name = "NAME")]
    pub domain: Option<DomainName>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// The build command, if only what was pushed of it is wanted [default: of every command]
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `larder share`
#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: ShareVerb,
}

/// What to do with the repository.
#[derive(Debug, Subcommand)]
pub(crate) enum ShareVerb {
    /// Make the repository, if there is none
    #[command(after_long_help = examples::SHARE_INIT)]
    Init {
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what is in the repository: of which scope, by whom, until when
    #[command(after_long_help = examples::SHARE_STATUS)]
    Status {
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove from the repository what the policy does not keep; for the host that may delete there
    #[command(after_long_help = examples::SHARE_GC)]
    Gc {
        /// Print what would go, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
}
