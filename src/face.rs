//! What people touch: the command line, the commands, reports and pages.

pub(crate) mod cli;
pub(crate) mod commands;
pub(crate) mod doctor;
pub(crate) mod manual;
pub(crate) mod metrics;
pub(crate) mod overview;
pub(crate) mod report;
