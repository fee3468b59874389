//! Waiting for a Cargo that larder did not start (decision 37).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::observe::cargo_layout::CargoLocks;
use crate::output::Output;
use crate::store::Wait;

/// How often it is tried whether another Cargo is done.
const CARGO_POLL: Duration = Duration::from_millis(50);

/// Waits until no Cargo works in the directory that larder did not start, and keeps any from beginning.
pub(super) fn wait_for_cargo(target: &Path, wait: Wait, output: Output) -> Result<CargoLocks> {
    let started = Instant::now();
    let mut announced = false;
    loop {
        if let Some(locks) = CargoLocks::try_hold(target)? {
            return Ok(locks);
        }
        if let Wait::AtMost(limit) = wait {
            if started.elapsed() >= limit {
                bail!(
                    "a cargo that larder did not start builds in {}; try again later, or allow more \
                     time with --wait",
                    target.display()
                );
            }
        }
        if !announced && started.elapsed() > CARGO_POLL {
            announced = true;
            let target = target.display();
            output.note(&format!(
                "waiting for {target}: a cargo that larder did not start builds there"
            ));
        }
        std::thread::sleep(CARGO_POLL);
    }
}
