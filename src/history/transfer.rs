//! Directories that were pushed to the repository that machines share, or pulled from there.

use serde::{Deserialize, Serialize};

use super::Event;
use crate::names::{ProjectName, ToolchainId};
use crate::share::{Pulled, Pushed};

/// A directory that was pushed or pulled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// The project.
    pub project: ProjectName,
    /// The directory.
    pub toolchain: ToolchainId,
    /// The number of the push.
    pub counter: u64,
    /// Who signed it, if another machine did.
    pub signer: Option<String>,
    /// Bytes of the directory.
    pub bytes: u64,
    /// Bytes that were sent, as the repository stores them.
    pub sent: Option<u64>,
    /// How long it took.
    pub seconds: f64,
}

impl Event {
    /// That something was pushed.
    pub fn pushed(pushed: &Pushed) -> Self {
        Self::Push(Transfer {
            project: pushed.project.clone(),
            toolchain: pushed.toolchain,
            counter: pushed.counter,
            signer: None,
            bytes: pushed.bytes_total,
            sent: Some(pushed.bytes_added),
            seconds: pushed.seconds,
        })
    }

    /// That something was pulled.
    pub fn pulled(project: &ProjectName, pulled: &Pulled) -> Self {
        Self::Pull(Transfer {
            project: project.clone(),
            toolchain: pulled.toolchain,
            counter: pulled.counter,
            signer: Some(pulled.signer.clone()),
            bytes: pulled.bytes,
            sent: None,
            seconds: pulled.seconds,
        })
    }
}
