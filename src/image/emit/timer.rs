//! What starts `larder gc` by the clock: units for systemd, a line for cron. Pure.
//!
//! It is started every hour: what builds set aside takes its space until a collection deletes it, and
//! a collection with nothing to do reads one small record for each directory (decision 38).
//!
//! Facts: `systemd.service(5)`, `systemd.exec(5)`, `systemd.syntax(7)` and `src/core/load-fragment.c` of
//! systemd 252; `crontab(5)` and `do_command.c` of Debian's cron 3.0pl1.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::base::digest::Digest;
use crate::image::emit::foreign::{self, ForeignPathError};

/// Where services of the system cannot look unless they are allowed to (`ProtectHome=`).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// What `PrivateTmp=` hides.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// Whose timers start the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    /// The system's, as root.
    System,
    /// A user's own.
    User,
}

/// A collection that is to be started by the clock.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub binary: PathBuf,
    pub store: PathBuf,
    pub manager: Manager,
}

impl Job {
    /// `larder-gc.service`
    pub(crate) fn service(&self) -> Result<String, ForeignPathError> {
        let (binary, store) = (program(&self.binary)?, plain(&self.store, SYSTEMD)?);
        // With a colon, `$` is a character like any other; a path has no other way to say so.
        let colon = if [binary, store].iter().any(|path| path.contains('$')) { ":" } else { "" };
        let mut text = format!(
            "# larder-gc.service: made by `larder emit systemd`\n\
             \n\
             [Unit]\n\
             Description=Collect what the larder store need not keep\n\
             ConditionPathExists={condition}/CACHEDIR.TAG\n",
            condition = store.replace('%', "%%"),
        );
        let (binary, store) = (unit_word(binary), unit_word(store));
        if self.manager == Manager::System {
            let _ = writeln!(text, "RequiresMountsFor={store}");
        }
        let _ = write!(
            text,
            "\n\
             [Service]\n\
             Type=oneshot\n\
             ExecStart={colon}{binary} gc --store {store}\n\
             # 3: nothing failed, but a budget of larder.toml cannot be met; the journal says which.\n\
             SuccessExitStatus=3\n\
             Nice=19\n\
             IOSchedulingClass=idle\n\
             CPUSchedulingPolicy=idle\n\
             \n\
             # It deletes in the store, and has no other business.\n"
        );
        text.push_str(ANYWHERE);
        if self.manager == Manager::System {
            text.push_str(SYSTEM);
            let _ = writeln!(text, "ReadWritePaths={store}");
            let home = if self.is_below(&HOMES) { "read-only" } else { "yes" };
            let _ = writeln!(text, "ProtectHome={home}");
            if !self.is_below(&TEMPORARY) {
                text.push_str("PrivateTmp=yes\n");
            }
        }
        Ok(text)
    }

    /// `larder-gc.timer`
    pub(crate) fn timer(&self) -> String {
        let (user, dir) = match self.manager {
            Manager::System => ("", "/etc/systemd/system"),
            Manager::User => (" --user", "~/.config/systemd/user"),
        };
        format!(
            "# larder-gc.timer: made by `larder emit systemd`. With the service in {dir}:\n\
             #   systemctl{user} daemon-reload && systemctl{user} enable --now larder-gc.timer\n\
             \n\
             [Unit]\n\
             Description=Collect what the larder store need not keep, every hour\n\
             \n\
             [Timer]\n\
             OnCalendar=hourly\n\
             RandomizedDelaySec=10min\n\
             Persistent=true\n\
             \n\
             [Install]\n\
             WantedBy=timers.target\n"
        )
    }

    /// A line for `/etc/cron.d` or for a user's own crontab.
    pub(crate) fn cron(&self) -> Result<String, ForeignPathError> {
        let (binary, store) = (plain(&self.binary, CRON)?, plain(&self.store, CRON)?);
        let (place, user) = match self.manager {
            Manager::System => ("/etc/cron.d/larder", "root "),
            Manager::User => ("your own crontab (crontab -e)", ""),
        };
        let minute = minute(&self.store);
        let words = format!("{} gc --store {}", shell_word(binary), shell_word(store));
        let words = words.replace('%', "\\%");
        Ok(format!(
            "# Made by `larder emit cron`, for {place}. What goes wrong is mailed.\n\
             {minute} * * * * {user}nice -n 19 ionice -c 3 {words} >/dev/null\n"
        ))
    }

    fn is_below(&self, places: &[&str]) -> bool {
        let paths = [&self.binary, &self.store];
        places.iter().any(|place| paths.iter().any(|path| path.starts_with(place)))
    }
}

const SYSTEMD: &str = "systemd";
const CRON: &str = "cron";

/// What a service of a user's own can have too: system call filters.
const ANYWHERE: &str = "NoNewPrivileges=yes\n\
    LockPersonality=yes\n\
    MemoryDenyWriteExecute=yes\n\
    RestrictAddressFamilies=AF_UNIX\n\
    RestrictNamespaces=yes\n\
    RestrictRealtime=yes\n\
    SystemCallArchitectures=native\n\
    SystemCallFilter=@system-service\n";

/// What takes root: namespaces and capabilities. Files in the store may belong to other users.
const SYSTEM: &str = "CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_FOWNER\n\
    PrivateDevices=yes\n\
    PrivateNetwork=yes\n\
    ProtectClock=yes\n\
    ProtectControlGroups=yes\n\
    ProtectHostname=yes\n\
    ProtectKernelLogs=yes\n\
    ProtectKernelModules=yes\n\
    ProtectKernelTunables=yes\n\
    ProtectSystem=strict\n";

/// The path as text, if the consumer can take it.
fn plain<'a>(path: &'a Path, consumer: &'static str) -> Result<&'a str, ForeignPathError> {
    let refuse = |what| ForeignPathError::new(consumer, path, what);
    let text = foreign::text(path, consumer)?;
    if text.chars().any(char::is_control) {
        return Err(refuse("a control character"));
    }
    // Some crons take one away before another, others do not.
    if consumer == CRON && text.contains('\\') {
        return Err(refuse("a backslash"));
    }
    Ok(text)
}

/// The path of a program that systemd starts: no quotes or backslashes (`string_is_safe`).
fn program(path: &Path) -> Result<&str, ForeignPathError> {
    let text = plain(path, SYSTEMD)?;
    if text.contains(['"', '\'', '\\']) {
        let what = "a quote or a backslash";
        return Err(ForeignPathError::new(SYSTEMD, path, what));
    }
    Ok(text)
}

/// One word of a unit file's list or command line.
fn unit_word(text: &str) -> String {
    let text = text.replace('%', "%%");
    let is_plain = |character: char| !character.is_whitespace() && !"\"'\\;".contains(character);
    if text.chars().all(is_plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One word of a shell's command line.
fn shell_word(text: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "/._-+:@,=%".contains(character);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// Another minute for each store, and the same one each time.
fn minute(store: &Path) -> u32 {
    let digest = Digest::of(store.as_os_str().as_encoded_bytes()).to_string();
    u32::from_str_radix(&digest[..6], 16).unwrap_or(0) % 60
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(binary: &str, store: &str, manager: Manager) -> Job {
        Job { binary: binary.into(), store: store.into(), manager }
    }

    #[test]
    fn the_systems_units_are_shut_in_the_store() {
        let job = job("/usr/bin/larder", "/var/cache/larder", Manager::System);
        snapbox::assert_data_eq!(
            job.service().unwrap(),
            snapbox::str![[r"
# larder-gc.service: made by `larder emit systemd`

[Unit]
Description=Collect what the larder store need not keep
ConditionPathExists=/var/cache/larder/CACHEDIR.TAG
RequiresMountsFor=/var/cache/larder

[Service]
Type=oneshot
ExecStart=/usr/bin/larder gc --store /var/cache/larder
# 3: nothing failed, but a budget of larder.toml cannot be met; the journal says which.
SuccessExitStatus=3
Nice=19
IOSchedulingClass=idle
CPUSchedulingPolicy=idle

# It deletes in the store, and has no other business.
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_FOWNER
PrivateDevices=yes
PrivateNetwork=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
ReadWritePaths=/var/cache/larder
ProtectHome=yes
PrivateTmp=yes

"]]
        );
        snapbox::assert_data_eq!(
            job.timer(),
            snapbox::str![[r"
# larder-gc.timer: made by `larder emit systemd`. With the service in /etc/systemd/system:
#   systemctl daemon-reload && systemctl enable --now larder-gc.timer

[Unit]
Description=Collect what the larder store need not keep, every hour

[Timer]
OnCalendar=hourly
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target

"]]
        );
    }

    #[test]
    fn a_users_units_ask_for_nothing_that_takes_root() {
        let job = job("/home/a/.local/bin/larder", "/home/a/.cache/larder", Manager::User);
        snapbox::assert_data_eq!(
            job.service().unwrap(),
            snapbox::str![[r"
# larder-gc.service: made by `larder emit systemd`

[Unit]
Description=Collect what the larder store need not keep
ConditionPathExists=/home/a/.cache/larder/CACHEDIR.TAG

[Service]
Type=oneshot
ExecStart=/home/a/.local/bin/larder gc --store /home/a/.cache/larder
# 3: nothing failed, but a budget of larder.toml cannot be met; the journal says which.
SuccessExitStatus=3
Nice=19
IOSchedulingClass=idle
CPUSchedulingPolicy=idle

# It deletes in the store, and has no other business.
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

"]]
        );
        assert!(job.timer().contains("systemctl --user enable"));
    }

    #[test]
    fn what_would_be_hidden_is_not() {
        let home = job("/usr/bin/larder", "/root/larder", Manager::System).service().unwrap();
        assert!(home.contains("ProtectHome=read-only\n") && home.contains("PrivateTmp=yes\n"));
        let binary = job("/root/.cargo/bin/larder", "/srv/larder", Manager::System);
        assert!(binary.service().unwrap().contains("ProtectHome=read-only\n"));
        let temporary = job("/usr/bin/larder", "/var/tmp/larder", Manager::System);
        assert!(!temporary.service().unwrap().contains("PrivateTmp"));
    }

    #[test]
    fn odd_paths_are_written_so_that_they_are_read_as_they_are() {
        let odd = r#"/srv/100% "of" a$b\c;d"#;
        let text = job("/usr/bin/larder", odd, Manager::System).service().unwrap();
        for line in [
            r#"ExecStart=:/usr/bin/larder gc --store "/srv/100%% \"of\" a$b\\c;d""#,
            r#"ReadWritePaths="/srv/100%% \"of\" a$b\\c;d""#,
            r#"ConditionPathExists=/srv/100%% "of" a$b\c;d/CACHEDIR.TAG"#,
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
        for bad in ["/a\nb", "/a\tb"] {
            assert!(job("/l", bad, Manager::User).service().is_err());
            assert!(job("/l", bad, Manager::User).cron().is_err());
        }
        assert!(job("/l", "/a\\b", Manager::User).cron().is_err());
        assert!(job("/it's", "/a", Manager::User).service().is_err());
    }

    #[test]
    fn cron_gets_a_line_with_a_user_or_without() {
        let system = job("/usr/bin/larder", "/var/cache/larder", Manager::System);
        snapbox::assert_data_eq!(
            system.cron().unwrap(),
            snapbox::str![[r"
# Made by `larder emit cron`, for /etc/cron.d/larder. What goes wrong is mailed.
33 * * * * root nice -n 19 ionice -c 3 /usr/bin/larder gc --store /var/cache/larder >/dev/null

"]]
        );
        let user = job("/opt/my larder", "/home/a/100% it's", Manager::User);
        // As it is: snapbox takes a backslash for a slash.
        let text = user.cron().unwrap();
        let line = r#"nice -n 19 ionice -c 3 '/opt/my larder' gc --store '/home/a/100\% it'"'"'s'"#;
        assert_eq!(text.lines().nth(1).unwrap(), format!("39 * * * * {line} >/dev/null"));
    }
}
