//! What gives a virtual machine of Lima a store of its own. Pure.
//!
//! Facts: <https://lima-vm.io/docs/config/disk/>, and `pkg/cidata/cidata.TEMPLATE.d` of Lima 1 and 2: a disk
//! NAME of `additionalDisks` is formatted once and mounted at `/mnt/lima-NAME`, before provisioning;
//! there `LIMA_CIDATA_USER` is the guest's user.

/// The name of the disk, for `limactl disk`.
const DISK: &str = "larder";

/// The part of a Lima configuration that has to do with the store.
pub fn lima() -> String {
    format!(
        "# Made by `larder emit lima`: put this into the configuration of the machine that builds. Once, before:\n\
         #   limactl disk create {DISK} --size 100GiB\n\
         #\n\
         # The store has to be inside of the machine, on a disk of its own, and not on a directory of the host\n\
         # (`mounts`): over virtiofs, 9p and sshfs locks do not reliably exclude others, files belong to whom\n\
         # the mount says, and each of the many small files of a target directory costs a call to the host.\n\
         # The disk outlives the machine: another one with the same lines finds the store warm.\n\
         additionalDisks:\n\
         - name: {DISK}\n\
         \x20 format: true\n\
         \x20 fsType: ext4\n\
         # Where larder finds it, also in scripts: the store belongs to the user who builds.\n\
         env:\n\
         \x20 LARDER_STORE: /mnt/lima-{DISK}/store\n\
         provision:\n\
         - mode: system\n\
         \x20 script: |\n\
         \x20   #!/bin/sh\n\
         \x20   set -eu\n\
         \x20   install -d -m 755 -o \"$LIMA_CIDATA_USER\" /mnt/lima-{DISK}/store\n"
    )
}
