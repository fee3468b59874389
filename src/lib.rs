//! larder keeps Cargo's `target/` warm between builds and never lets it serve a stale byte.

#![cfg_attr(
    test,
    expect(clippy::disallowed_methods, reason = "tests remove what they made, and damage things")
)]

pub mod affected;
pub mod attach;
pub mod caches;
pub mod cargo_layout;
pub mod cli;
pub mod collect;
pub mod command;
pub mod commands;
pub mod config;
pub mod container;
pub mod digest;
pub mod doctor;
pub mod edit;
pub mod encoding;
pub mod evict;
pub mod fault;
pub mod foreign;
pub mod history;
pub mod home;
pub mod identity;
pub mod link;
pub mod manual;
pub mod metrics;
pub mod mkosi;
pub mod names;
pub mod needed;
pub mod output;
pub mod overview;
pub mod place;
pub mod policy;
pub mod project;
pub mod quantity;
pub mod reconcile;
pub mod relocate;
pub mod report;
pub mod script;
pub mod session;
pub mod share;
pub mod situation;
pub mod sources;
pub mod store;
pub mod sweep;
pub mod timer;
pub mod tree;
pub mod usage;
pub mod verdict;
pub mod verify;
pub mod virtual_machine;
pub mod workflow;
