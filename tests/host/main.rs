//! larder on a plain host, against the real cargo: what `run` promises, and how it refuses.

#![expect(clippy::disallowed_methods, reason = "tests remove what they made")]

mod beside;
mod browser;
mod builds;
mod caches;
mod cleanup;
mod clock;
mod collect;
mod completions;
mod crash;
mod directories;
mod doctor;
mod domains;
mod emit;
mod extras;
mod history;
mod installed;
mod locks;
mod log;
mod noise;
mod power;
mod prometheus;
mod proof;
mod refusals;
mod report;
mod revisions;
mod safety;
mod share;
mod share_attacks;
mod share_data;
mod share_faults;
mod share_forge;
mod share_lab;
mod share_network;
mod share_replica;
mod share_server;
mod sound;
mod storm;
mod strangers;
mod supervision;
mod traces;
mod units;
mod verify;
mod walks;
mod world;
