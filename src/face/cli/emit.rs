//! What configuration can be printed for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `larder emit`
#[derive(Debug, Args)]
pub(crate) struct EmitArgs {
    /// For whom
    #[arg(value_enum)]
    pub consumer: Consumer,
    /// The larder that units and crontabs start [default: this one]
    #[arg(long, value_name = "FILE")]
    pub binary: Option<PathBuf>,
}

/// Who can be given configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Consumer {
    /// An include file that brings the store into mkosi's build sandbox
    Mkosi,
    /// Both units that collect by the clock: the service and the timer
    Systemd,
    /// The service alone: larder-gc.service
    SystemdService,
    /// The timer alone: larder-gc.timer
    SystemdTimer,
    /// A line for a crontab that collects by the clock
    Cron,
    /// Flags for `podman run` that bring the store into a container
    Podman,
    /// The same for `docker run`
    Docker,
    /// The same as a service for compose
    Compose,
    /// Configuration for a virtual machine of Lima with a store on a disk of its own
    Lima,
    /// Steps for a workflow of GitHub Actions that keep the store between runs
    GithubActions,
    /// Completions of larder's command line for bash
    Bash,
    /// The same for zsh
    Zsh,
    /// The same for fish
    Fish,
}
