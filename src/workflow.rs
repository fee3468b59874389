//! What keeps a store between runs of a workflow of GitHub Actions. Pure.
//!
//! Facts: `actions/cache` 4 packs paths with tar and never replaces a key; `restore-keys` are prefixes,
//! of which the newest match is taken; what takes more than 10 GB goes, oldest first. What becomes of
//! a store that comes back by tar is tried in `tests/host/emit.rs`.

use crate::container::yaml_text;

/// Steps for a job: the store is fetched, builds use it, it is collected and kept.
pub fn github_actions() -> String {
    let run = "${{ github.run_id }}-${{ github.run_attempt }}";
    let system = "${{ runner.os }}-${{ runner.arch }}";
    let path = yaml_text("~/.cache/larder");
    format!(
        "# Made by `larder emit github-actions`: steps for a job that compiles, in this order.\n\
         #\n\
         # What comes back has other inodes and change times than what was saved. larder notices, reads the\n\
         # files once, and goes by their content: what is as it was left stays warm, whatever its times; what is\n\
         # not is compiled again. Other packages on the runner's image are another toolchain: that build is\n\
         # cold. So is the first on each branch that cannot see the cache of another.\n\
         # Whoever can write this cache decides what your builds contain: keep it from pull requests of others.\n\
         \n\
         - name: Fetch the larder store\n\
         \x20 id: larder\n\
         \x20 uses: actions/cache/restore@v4\n\
         \x20 with:\n\
         \x20   path: {path}\n\
         \x20   # A key is never written twice: each run saves its own, and takes the newest there is.\n\
         \x20   key: larder-{system}-{run}\n\
         \x20   restore-keys: larder-{system}-\n\
         \n\
         - name: Build\n\
         \x20 run: larder run NAME -- cargo build --release --locked\n\
         \n\
         # A cache that only grows is thrown away some day: keep what the last build used.\n\
         - name: Collect\n\
         \x20 run: larder gc --keep 1 --max-size 4GiB --grace 0s\n\
         \n\
         - name: Keep the larder store\n\
         \x20 uses: actions/cache/save@v4\n\
         \x20 with:\n\
         \x20   path: {path}\n\
         \x20   key: larder-{system}-{run}\n"
    )
}
