//! `larder probe`: answers, inside the sandbox, what compiles there. larder asks itself.

use std::io::Read;

use anyhow::{Context, Result};

use super::DONE;
use crate::host::place::{Reply, identify_here};
use crate::output;

pub(super) fn probe() -> Result<u8> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("cannot read the question; only `larder run` can ask it")?;
    let request = serde_json::from_str(&text).context("cannot understand the question; only `larder run` of the same version can ask it: run `larder init` again")?;
    let reply = match identify_here(&request) {
        Ok(answer) => Reply::Answer(Box::new(answer)),
        Err(error) => Reply::Error(output::one_line(&error.into())),
    };
    output::print(&serde_json::to_string(&reply)?)?;
    Ok(DONE)
}
