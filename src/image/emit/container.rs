//! What brings the store into containers: flags for podman and docker, a service for compose. Pure.
//!
//! Facts: podman-run(1) and `seccomp.json` of podman 4.3, which let a container make user namespaces,
//! and larder mount in one; docker's filter does not. docker-compose 1.29 and 2.26 read the service. A
//! mount by `--mount` fails where the store is missing; `--volume` of docker would make a directory of
//! root's there. In a rootless podman, root in the container is the user outside.

use std::path::{Path, PathBuf};

use crate::image::emit::foreign::{self, ForeignPathError};
use crate::image::mkosi::SANDBOX_STORE;

/// A store that containers are to see.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub store: PathBuf,
    /// Its owner and the owner's group, who have to be the container's user.
    pub owner: (u32, u32),
    /// What in it containers are to read and not to write.
    pub fixed: Vec<&'static str>,
}

impl Shared {
    /// Flags for `podman run`, one on each line.
    pub(crate) fn podman(&self) -> Result<String, ForeignPathError> {
        Ok(self.mounts("podman")?.join("\n") + "\n")
    }

    /// Flags for `docker run`, one on each line.
    pub(crate) fn docker(&self) -> Result<String, ForeignPathError> {
        let (user, group) = self.owner;
        let mut lines = self.mounts("docker")?;
        if user != 0 {
            lines.push(format!("--user={user}:{group}"));
        }
        Ok(lines.join("\n") + "\n")
    }

    /// A service for compose.
    pub(crate) fn compose(&self) -> Result<String, ForeignPathError> {
        let store = yaml_text(plain(&self.store, "compose", "$")?);
        let (user, group) = self.owner;
        let fixed = self.fixed.iter().map(|name| {
            let source = yaml_text(plain(&self.store.join(name), "compose", "$")?);
            Ok(format!(
                "\x20     - type: bind\n\
                 \x20       source: {source}\n\
                 \x20       target: {SANDBOX_STORE}/{name}\n\
                 \x20       read_only: true\n"
            ))
        });
        let fixed: String = fixed.collect::<Result<String, ForeignPathError>>()?;
        let user =
            if user == 0 { String::new() } else { format!("    user: \"{user}:{group}\"\n") };
        Ok(format!(
            "# Made by `larder emit compose`: put `volumes` and `user` into the service that compiles.\n\
             # Its script calls {SANDBOX_STORE}/bin/larder, or sources larder.sh.\n\
             # The store belongs to one user, who has to be the container's. Without the right to mount,\n\
             # larder attaches by a symlink, says so, and keeps such builds apart; this gives it, and much else:\n\
             #     cap_add: [SYS_ADMIN]\n\
             #     security_opt: [\"apparmor:unconfined\"]\n\
             services:\n\
             \x20 build:\n\
             {user}\
             \x20   volumes:\n\
             \x20     - type: bind\n\
             \x20       source: {store}\n\
             \x20       target: {SANDBOX_STORE}\n\
             {fixed}"
        ))
    }

    /// The store, and what in it is read-only.
    fn mounts(&self, consumer: &'static str) -> Result<Vec<String>, ForeignPathError> {
        let fixed = self.fixed.iter().map(|name| {
            let inside = format!("{SANDBOX_STORE}/{name}");
            Ok(mount(&self.store.join(name), &inside, consumer)? + ",readonly")
        });
        let store = mount(&self.store, SANDBOX_STORE, consumer);
        std::iter::once(store).chain(fixed).collect()
    }
}

/// What is said besides the flags, because flags have no comments.
pub(crate) fn notes(consumer: &str) -> [String; 2] {
    let how = match consumer {
        "podman" => {
            "run the container as its root: in a rootless podman that is you, the store's owner; larder mounts in a user namespace"
        }
        _ => {
            "larder attaches by a symlink in such containers, says so, and keeps their builds apart; --cap-add=SYS_ADMIN --security-opt=apparmor=unconfined lets it mount, and much else"
        }
    };
    let place = format!(
        "builds find the store at {SANDBOX_STORE}; on a system with SELinux add --security-opt=label=disable"
    );
    [place, how.to_owned()]
}

fn mount(path: &Path, inside: &str, consumer: &'static str) -> Result<String, ForeignPathError> {
    // A list without quoting, and flags that the shell splits at whitespace and expands.
    let path = plain(path, consumer, ",\"'\\$*?[]~ ")?;
    Ok(format!("--mount=type=bind,source={path},target={inside}"))
}

fn plain<'a>(
    path: &'a Path,
    consumer: &'static str,
    forbidden: &str,
) -> Result<&'a str, ForeignPathError> {
    let refuse = |what| ForeignPathError::new(consumer, path, what);
    let text = foreign::text(path, consumer)?;
    if text
        .chars()
        .any(|character| character.is_control() || (character != ' ' && character.is_whitespace()))
    {
        return Err(refuse("a control character or whitespace"));
    }
    if text.contains(|character| forbidden.contains(character)) {
        return Err(refuse("a character that cannot be quoted there"));
    }
    Ok(text)
}

/// A text in YAML's double quotes.
pub(crate) fn yaml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(store: &str, owner: u32) -> Shared {
        Shared { store: store.into(), owner: (owner, owner), fixed: vec!["bin"] }
    }

    #[test]
    fn flags_are_for_the_owner_of_the_store() {
        let (root, user) = (shared("/var/cache/larder", 0), shared("/home/a/larder", 1000));
        let mount = "--mount=type=bind,source=/var/cache/larder,target=/work/larder\n\
                     --mount=type=bind,source=/var/cache/larder/bin,target=/work/larder/bin,readonly\n";
        assert_eq!(root.podman().unwrap(), mount);
        assert_eq!(root.docker().unwrap(), mount);
        assert!(!user.podman().unwrap().contains("--user"), "root in the container is the user");
        assert!(user.docker().unwrap().ends_with("\n--user=1000:1000\n"));
    }

    #[test]
    fn what_cannot_be_quoted_is_refused() {
        for bad in ["/a,b", "/a b", "/a$b", "/a\nb", "/a*"] {
            assert!(
                shared(bad, 0).podman().is_err() && shared(bad, 0).docker().is_err(),
                "{bad:?}"
            );
        }
        for bad in ["/a\nb", "/a$b"] {
            assert!(shared(bad, 0).compose().is_err(), "{bad:?}");
        }
        assert!(shared("/a \"b\"", 0).compose().unwrap().contains("source: \"/a \\\"b\\\"\"\n"));
    }
}
