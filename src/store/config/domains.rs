//! `[domain.NAME]` of `larder.toml`: whose builds are in which domain, and which domains they may begin from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{ConfigError, File};
use crate::base::names::DomainName;
use crate::base::{environment, regular, trust};
use crate::store::Store;

/// Names the domain where no option does.
const VARIABLE: &str = "LARDER_DOMAIN";

/// What is said of one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct DomainKeys {
    /// The domain that it begins from, where it has nothing yet.
    from: Option<DomainName>,
    /// Users whose builds are in it, by name or number.
    #[serde(default)]
    users: Vec<String>,
    /// Builds are in it that have one of these in their environment: `NAME=VALUE`.
    #[serde(default)]
    when: Vec<String>,
}

/// For whom a build is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Domains {
    /// The domain that it is in.
    pub own: DomainName,
    /// Those that it may begin from, the nearest first.
    pub from: Vec<DomainName>,
}

/// Who builds, as far as the rules ask.
struct Caller<'a> {
    user: u32,
    name: Option<String>,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

/// The domain that is named, else that of `LARDER_DOMAIN`, else the one whose rule holds here, else `default`; and those that it may begin from.
/// Who names one to begin from names the only one.
///
/// # Errors
/// [`ConfigError`]: the policy cannot be read, `LARDER_DOMAIN` is no name, or the rules of two domains hold.
pub(crate) fn domains(
    store: &Store,
    named: Option<DomainName>,
    from: Option<DomainName>,
) -> Result<Domains, ConfigError> {
    let rules = File::read(store)?.domains;
    let said = || environment::text(VARIABLE).filter(|name| !name.is_empty());
    let said = said().map(|name| name.parse().map_err(|_| ConfigError::Domain)).transpose();
    let own = match named.map_or(said, |named| Ok(Some(named)))? {
        Some(named) => named,
        None if rules.is_empty() => DomainName::default(),
        None => {
            let user = trust::caller();
            let variable = |name: &str| environment::text(name);
            let caller = Caller { user, name: user_name(user), variable: &variable };
            let two = |(one, other)| ConfigError::TwoDomains { path: store.policy(), one, other };
            matching(&rules, &caller).map_err(two)?
        }
    };
    let from = from.map_or_else(|| chain(&rules, &own), |from| vec![from]);
    let from = from.into_iter().filter(|from| *from != own).collect();
    Ok(Domains { own, from })
}

/// Reads the tables; what is wrong is said with the table it is in.
pub(super) fn read(
    tables: toml::Value,
) -> Result<BTreeMap<DomainName, DomainKeys>, toml::de::Error> {
    let tables: BTreeMap<String, toml::Table> = tables.try_into()?;
    let read = |(name, table): (String, toml::Table)| {
        let wrong = |why: &dyn std::fmt::Display| {
            serde::de::Error::custom(format!("[domain.{name:?}]: {why}"))
        };
        let domain: DomainName = name.parse().map_err(|error| wrong(&error))?;
        let keys = table.try_into().map_err(|error: toml::de::Error| wrong(&error.message()))?;
        Ok((domain, keys))
    };
    let rules = tables.into_iter().map(read).collect::<Result<_, toml::de::Error>>()?;
    check(&rules).map_err(serde::de::Error::custom)?;
    Ok(rules)
}

/// What is wrong with the rules as they are written.
fn check(rules: &BTreeMap<DomainName, DomainKeys>) -> Result<(), String> {
    for (name, keys) in rules {
        let is_rule = |text: &&String| text.split_once('=').is_none_or(|(name, _)| name.is_empty());
        if let Some(wrong) = keys.when.iter().find(is_rule) {
            let why = format!("[domain.{name}] when: `{wrong}` is not NAME=VALUE");
            return Err(why);
        }
        if chain(rules, name).contains(name) || keys.from.as_ref() == Some(name) {
            let why = format!("[domain.{name}] from: it would begin from itself");
            return Err(why);
        }
    }
    Ok(())
}

/// The domains from which one begins, the nearest first; a circle ends where it closes.
fn chain(rules: &BTreeMap<DomainName, DomainKeys>, own: &DomainName) -> Vec<DomainName> {
    let mut chain: Vec<DomainName> = Vec::new();
    let mut at = own;
    while let Some(from) = rules.get(at).and_then(|keys| keys.from.as_ref()) {
        if chain.contains(from) {
            break;
        }
        chain.push(from.clone());
        at = from;
    }
    chain
}

/// The one domain whose rule holds, or the default one.
fn matching(
    rules: &BTreeMap<DomainName, DomainKeys>,
    caller: &Caller<'_>,
) -> Result<DomainName, (DomainName, DomainName)> {
    let is_user = |text: &String| {
        text.parse() == Ok(caller.user) || caller.name.as_deref() == Some(text.as_str())
    };
    let holds = |text: &String| {
        let rule = text.split_once('=');
        rule.is_some_and(|(name, value)| (caller.variable)(name).as_deref() == Some(value))
    };
    let mut found = rules
        .iter()
        .filter(|(_, keys)| keys.users.iter().any(is_user) || keys.when.iter().any(holds));
    match (found.next(), found.next()) {
        (None, _) => Ok(DomainName::default()),
        (Some((name, _)), None) => Ok(name.clone()),
        (Some((one, _)), Some((other, _))) => Err((one.clone(), other.clone())),
    }
}

/// The name that `passwd(5)` has for a user.
fn user_name(user: u32) -> Option<String> {
    let text = regular::text(Path::new("/etc/passwd")).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(user)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<BTreeMap<DomainName, DomainKeys>, toml::de::Error> {
        File::parse(text).map(|file| file.domains)
    }

    fn domain(name: &str) -> DomainName {
        name.parse().unwrap()
    }

    const THREE: &str = "[domain.requests]\nfrom = 'main'\nwhen = ['EVENT=pull_request']\n\
                         [domain.main]\nfrom = 'release'\nusers = ['7', 'builder']\n";

    #[test]
    fn a_build_is_in_the_domain_whose_rule_holds() {
        let rules = rules(THREE).unwrap();
        let of = |user, name: &str, event: &str| {
            let variable = |asked: &str| (asked == "EVENT").then(|| event.to_owned());
            let caller = Caller { user, name: Some(name.to_owned()), variable: &variable };
            matching(&rules, &caller)
        };
        assert_eq!(of(1, "me", "push"), Ok(domain("default")));
        assert_eq!(of(1, "me", "pull_request"), Ok(domain("requests")));
        assert_eq!(of(7, "me", "push"), Ok(domain("main")));
        assert_eq!(of(1, "builder", "push"), Ok(domain("main")));
        assert_eq!(of(7, "me", "pull_request"), Err((domain("main"), domain("requests"))));
    }

    #[test]
    fn domains_begin_from_those_that_are_named_and_never_from_themselves() {
        let rules_of = |text| rules(text).unwrap();
        let three = rules_of(THREE);
        assert_eq!(chain(&three, &domain("requests")), [domain("main"), domain("release")]);
        assert_eq!(chain(&three, &domain("default")), []);
        for wrong in [
            "[domain.a]\nfrom = 'a'\n",
            "[domain.a]\nfrom = 'b'\n[domain.b]\nfrom = 'a'\n",
            "[domain.a]\nwhen = ['=x']\n",
            "[domain.a]\nwhen = ['X']\n",
            "[domain.'a/b']\n",
            "[domain.a]\nuser = 'x'\n",
        ] {
            assert!(rules(wrong).is_err(), "{wrong}");
        }
    }
}
