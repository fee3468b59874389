//! What people touch: the command line, the commands, reports and pages.

pub mod cli;
pub mod commands;
pub mod doctor;
pub mod manual;
pub mod metrics;
pub mod overview;
pub mod report;
