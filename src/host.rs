//! This process and this machine: mounts, the command, the name `target`, the directories of the user.

pub mod attach;
pub mod command;
pub mod home;
pub mod link;
pub mod place;
