//! Whether anything starts the collection by the clock.

use std::fs;
use std::path::{Path, PathBuf};

use super::Check;

const NAME: &str = "timer";

/// Where timers and crontabs are looked for.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Directories of unit files, those of the administrator first.
    pub units: Vec<PathBuf>,
    /// Files and directories of crontabs.
    pub crontabs: Vec<PathBuf>,
    /// What `crontab -l` says.
    pub own_crontab: String,
    /// The word between `systemctl` and its verb, for a user's own manager.
    pub user: &'static str,
}

impl Places {
    /// The system's, for root (`systemd.unit(5)` and `cron(8)` of Debian 12).
    pub(crate) fn system(own_crontab: String) -> Self {
        let dirs = [
            "/etc/systemd/system",
            "/run/systemd/system",
            "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system",
            "/lib/systemd/system",
        ];
        Self {
            units: dirs.map(PathBuf::from).into(),
            crontabs: ["/etc/crontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily"]
                .map(PathBuf::from)
                .into(),
            own_crontab,
            user: "",
        }
    }

    /// A user's own.
    pub(crate) fn user(config: &Path, data: &Path, own_crontab: String) -> Self {
        let own = [config.join("systemd/user"), data.join("systemd/user")];
        let shared = ["/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"];
        Self {
            units: own.into_iter().chain(shared.map(PathBuf::from)).collect(),
            crontabs: Vec::new(),
            own_crontab,
            user: " --user",
        }
    }
}

/// Whether a timer or a crontab starts `larder gc` for a store.
pub(crate) fn timer(store: &Path, places: &Places) -> Check {
    let name = store.to_string_lossy();
    let collects = |text: &str| {
        let line = |line: &str| {
            !line.trim_start().starts_with('#')
                && line.contains("larder")
                && line.contains(" gc")
                && line.contains(&*name)
        };
        text.lines().any(line)
    };
    if let Some(service) = find(&places.units, "larder-gc.service", &collects) {
        return installed(&service, places);
    }
    let in_cron = places.crontabs.iter().flat_map(|place| texts(place)).any(|text| collects(&text));
    if in_cron || collects(&places.own_crontab) {
        return Check::ok(NAME, "cron collects this store");
    }
    Check::warning(
        NAME,
        "nothing collects this store by the clock: what builds set aside stays on the disk",
        "install what `larder emit systemd` or `larder emit cron` prints",
    )
}

/// A service alone does nothing: its timer has to be wanted.
fn installed(service: &Path, places: &Places) -> Check {
    let wanted = |dir: &PathBuf| {
        fs::symlink_metadata(dir.join("timers.target.wants/larder-gc.timer")).is_ok()
    };
    if places.units.iter().any(wanted) {
        return Check::ok(NAME, format!("enabled, by {}", service.display()));
    }
    let systemctl = format!("systemctl{}", places.user);
    Check::warning(
        NAME,
        format!("{} is installed, but its timer is not enabled", service.display()),
        format!("{systemctl} enable --now larder-gc.timer"),
    )
}

/// The first unit file of a name that says what it should.
fn find(dirs: &[PathBuf], name: &str, says: &impl Fn(&str) -> bool) -> Option<PathBuf> {
    let files = dirs.iter().map(|dir| dir.join(name));
    files.into_iter().find(|file| fs::read_to_string(file).is_ok_and(|text| says(&text)))
}

/// The text of a file, or of all files of a directory.
fn texts(place: &Path) -> Vec<String> {
    match fs::read_dir(place) {
        Ok(names) => {
            names.flatten().filter_map(|name| fs::read_to_string(name.path()).ok()).collect()
        }
        Err(_) => fs::read_to_string(place).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_timer_counts_once_it_is_enabled_and_for_its_own_store() {
        let dir = tempfile::tempdir().unwrap();
        let units = dir.path().join("units");
        fs::create_dir_all(units.join("timers.target.wants")).unwrap();
        let places = Places {
            units: vec![units.clone()],
            crontabs: vec![dir.path().join("cron.d")],
            own_crontab: String::new(),
            user: "",
        };
        let state = |store: &str| timer(Path::new(store), &places).state;
        assert_eq!(state("/s"), State::Warning);
        fs::write(units.join("larder-gc.service"), "ExecStart=/l/larder gc --store /s\n").unwrap();
        assert!(timer(Path::new("/s"), &places).remedy.unwrap().contains("enable --now"));
        std::os::unix::fs::symlink("/x", units.join("timers.target.wants/larder-gc.timer"))
            .unwrap();
        assert_eq!((state("/s"), state("/other")), (State::Ok, State::Warning));
        fs::create_dir(dir.path().join("cron.d")).unwrap();
        fs::write(dir.path().join("cron.d/larder"), "# larder gc --store /other\n").unwrap();
        assert_eq!(state("/other"), State::Warning);
        fs::write(dir.path().join("cron.d/larder"), "1 * * * * root larder gc --store /other\n")
            .unwrap();
        assert_eq!(state("/other"), State::Ok);
    }
}
