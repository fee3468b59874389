//! This process and this machine: mounts, the command, the name `target`, the directories of the user.

pub(crate) mod attach;
pub(crate) mod command;
pub(crate) mod home;
pub(crate) mod link;
pub(crate) mod place;
