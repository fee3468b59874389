//! What `--help` and the manual pages show of each command at work.

pub(super) const INIT: &str = "Examples:
  Where mkosi is run, for an image that is started without arguments:
    larder init

  For an image with a configuration of its own, in a store of your choice:
    larder init --store /srv/larder -- --include=images/a.conf

  For an image whose configuration is in a directory of its own:
    larder init -- --directory os/mkosi --profile prod

  For two images that are started by their names, changing the build scripts as it shows:
    larder init --image gateway --image kitchen --apply

  Take that back:
    larder init --undo";

pub(super) const PROVISION: &str = "Examples:
  Make the store, and the directory that a build with today's toolchain will use:
    larder provision pantry --source ~/src/pantry -- cargo build --release";

pub(super) const RUN: &str = "Examples:
  On a plain host, in a checkout:
    larder run pantry -- cargo build --release

  In a mkosi build script, where the store is mounted at /work/larder:
    /work/larder/bin/larder run pantry --source \"$BUILDROOT/build/pantry\" -- \\
        mkosi-chroot sh -c 'cd /build/pantry && cargo build --release --locked'

  Give up if another build has the directory for ten minutes:
    larder run pantry --wait 10m -- cargo build --release";

pub(super) const VERIFY: &str = "Examples:
  Compare what the warm directory gives with a build from nothing:
    larder verify pantry -- cargo build --release";

pub(super) const STATUS: &str = "Examples:
  Everything in the store:
    larder status

  One project, with the reasons of its last builds and what each crate takes:
    larder status pantry --detail

  The ids of all directories, for a script:
    larder status --json | jq -r '.entries[].toolchain'";

pub(super) const EXPLAIN: &str = "Examples:
  Why was the last build cold?
    larder explain pantry

  What do two toolchains differ in?
    larder explain pantry --between c87449b76455 0f3d5c1a92be";

pub(super) const HISTORY: &str = "Examples:
  What happened to a project this week, and why?
    larder history pantry --since 7d

  Seconds that each warm build saved, for a graph:
    larder history --json | jq '.events[] | select(.event == \"use\" and (.cold | not))
        | {at, project, saved: ((.cold_seconds // .seconds) - .seconds)}'";

pub(super) const REPORT: &str = "Examples:
  One page about the store, for a browser; it loads nothing from anywhere:
    larder report --html /tmp/larder.html

  Hours saved in each week, for a script:
    larder report --json | jq '.weeks[] | {start, hours: (.saved_seconds / 3600)}'";

pub(super) const GC: &str = "Examples:
  What would go if everything had to fit into 20 GiB?
    larder gc --dry-run --max-size 20GiB

  Collect by the policy in larder.toml, as the timer does:
    larder gc";

pub(super) const PIN: &str = "Examples:
  Keep everything of a project that a release depends on:
    larder pin pantry

  Keep one directory, by the beginning of its id:
    larder pin pantry c87449b76455";

pub(super) const UNPIN: &str = "Examples:
  Leave all directories of a project to the policy again:
    larder unpin pantry";

pub(super) const RM: &str = "Examples:
  Remove all directories of a project; what is in use stays:
    larder rm pantry

  Remove one directory:
    larder rm pantry c87449b76455";

pub(super) const MOVE: &str = "Examples:
  Move the store to a larger filesystem, as soon as no build uses it:
    larder move /srv/larder --wait 1h";

pub(super) const PUSH: &str = "Examples:
  After a build, let other machines have what it made:
    larder run pantry -- cargo build --release && larder push pantry

  How much had to be sent, and for how long was the directory locked?
    larder push pantry --json | jq '{bytes_added, locked_seconds}'";

pub(super) const PULL: &str = "Examples:
  Before a build on an empty disk:
    larder pull pantry --source ~/src/pantry

  Only what was pushed of one command:
    larder pull pantry -- cargo build --release";

pub(super) const SHARE: &str = "Examples:
  What is in the repository, and until when does it count?
    larder share status

  On the host that owns it, every night:
    larder share gc";

pub(super) const SHARE_INIT: &str = "Examples:
  Make the repository that [share] in larder.toml names:
    larder share init";

pub(super) const SHARE_STATUS: &str = "Examples:
  Everything that was pushed:
    larder share status

  The latest push of each scope, for a script:
    larder share status --json | jq '.scopes[] | {project, counter, signer}'";

pub(super) const SHARE_GC: &str = "Examples:
  What would go?
    larder share gc --dry-run

  Keep what `keep` and `max-size` in [share] say:
    larder share gc";

pub(super) const DOCTOR: &str = "Examples:
  Is everything as it has to be here, for an image with a configuration of its own?
    larder doctor -- --include=images/a.conf";

pub(super) const EMIT: &str = "Examples:
  A service and a timer that collect every hour:
    larder emit systemd-service > /etc/systemd/system/larder-gc.service
    larder emit systemd-timer > /etc/systemd/system/larder-gc.timer

  Completions for this shell:
    source <(larder emit bash)";

pub(super) const MAN: &str = "Examples:
  Read the manual of `larder run` without installing anything:
    larder man /tmp/larder-man && man /tmp/larder-man/larder-run.1";
