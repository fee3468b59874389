//! larder on a plain host, against the real cargo: what `run` promises, and how it refuses.

mod builds;
mod refusals;
mod supervision;
mod world;
