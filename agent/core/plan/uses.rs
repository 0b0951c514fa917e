//! What has to be fetched, each source once however often it is used.

use super::Plan;
use super::container::ContainerSpec;
use crate::config::RegistryAuth;
use crate::secret::{SecretRef, Source};

/// One source of secrets and everything that uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUse {
    /// What is asked for, once.
    pub source: Source,
    /// `environment.DB_PASSWORD`, `dockercfg.registry.example.org`, and what each picks out of it.
    pub uses: Vec<(String, SecretRef)>,
}

impl SecretUse {
    /// `environment.DB_PASSWORD, secrets.db`.
    pub fn used_by(&self) -> String {
        let names: Vec<&str> = self.uses.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }
}

impl Plan {
    /// What may be fetched in a boot: what the step fetches, and what mirrors' logins are made of; each source once.
    pub fn every_use(&self) -> Vec<SecretUse> {
        let uses = self.secrets.iter().chain(&self.mirror_secrets);
        by_source(uses.flat_map(|one| one.uses.iter().cloned()))
    }
}

/// What nothing goes on without.
pub(super) fn needed(container: &ContainerSpec, auth: Option<&RegistryAuth>) -> Vec<SecretUse> {
    let named = |what: &'static str| {
        move |(name, reference): (&str, &SecretRef)| (format!("{what}.{name}"), reference.clone())
    };
    // The registry's password first: the pull waits for it.
    by_source(
        auth.into_iter()
            .flat_map(of_login)
            .chain(container.secrets().map(named("environment")))
            .chain(container.fetched_files().map(named("files")))
            .chain(
                container
                    .secret_files
                    .iter()
                    .map(|(name, reference)| (name.as_str(), reference))
                    .map(named("secrets")),
            ),
    )
}

/// A mirror is asked without a login where there is none.
pub(super) fn of_mirrors(auths: &[RegistryAuth]) -> Vec<SecretUse> {
    by_source(auths.iter().flat_map(of_login))
}

fn of_login(auth: &RegistryAuth) -> Vec<(String, SecretRef)> {
    let references = auth.login.references().into_iter();
    references
        .map(|(reference, key)| (format!("dockercfg.{}{key}", auth.registry), reference.clone()))
        .collect()
}

fn by_source(uses: impl Iterator<Item = (String, SecretRef)>) -> Vec<SecretUse> {
    let mut all: Vec<SecretUse> = Vec::new();
    for used in uses {
        match all.iter_mut().find(|one| one.source == used.1.source) {
            Some(one) => one.uses.push(used),
            None => all.push(SecretUse {
                source: used.1.source.clone(),
                uses: vec![used],
            }),
        }
    }
    all
}
