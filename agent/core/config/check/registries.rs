//! Registry logins, `dockercfg` in the form docker had before 2015, `{url: {auth, email}}`; and mirrors of registries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::image::ImageRef;
use super::super::mirror::{Mirror, RegistryMirrors};
use super::super::model::RegistryAuth;
use super::super::problem::{Code, Problem, Severity};
use super::super::yaml::Entry;
use super::Checker;
use super::field::Field;
use crate::secret::{Secret, SecretSource};

impl Checker<'_> {
    pub(super) fn registry_auths(&mut self) -> Vec<RegistryAuth> {
        let Some(field) = self.field("dockercfg") else {
            return Vec::new();
        };
        let help = "write `dockercfg: {\"https://registry.example.org\": {auth: \"aws:kms:...\"}}`";
        let entries = self
            .take(field.entries().map_err(|problem| problem.help(help)))
            .unwrap_or_default();
        let mut auths: Vec<RegistryAuth> = Vec::new();
        for entry in entries {
            let Some(auth) = self.registry_auth(&field, entry) else {
                continue;
            };
            if let Some(earlier) = auths.iter_mut().find(|earlier| earlier.registry == auth.registry) {
                let message = format!(
                    "two entries are for the registry `{}`; the last one counts",
                    auth.registry
                );
                *earlier = auth;
                self.report(at_key(
                    &field.child(entry),
                    Problem::warning(Code::DuplicateKey, message),
                ));
            } else {
                auths.push(auth);
            }
        }
        auths
    }

    pub(super) fn registry_mirrors(&mut self) -> Vec<RegistryMirrors> {
        let Some(field) = self.field("registry_mirrors") else {
            return Vec::new();
        };
        let help = "write `registry_mirrors: {registry.example.org: [mirror.example.org]}`";
        let entries = self
            .take(field.entries().map_err(|problem| problem.help(help)))
            .unwrap_or_default();
        let mut all: Vec<RegistryMirrors> = Vec::new();
        for entry in entries {
            let child = field.child(entry);
            let Some(registry) = registry_host(&entry.name) else {
                let problem = Problem::error(Code::BadValue, "this is no registry's address");
                self.report(at_key(&child, problem).help(help));
                continue;
            };
            if child.is_null() || child.is_broken() {
                continue;
            }
            let items = self.list(&child);
            let mirrors = items.iter().filter_map(|item| self.mirror(item)).collect();
            let one = RegistryMirrors { registry, mirrors };
            if let Some(earlier) = all.iter_mut().find(|earlier| earlier.registry == one.registry) {
                let message = format!(
                    "two entries are for the registry `{}`; the last one counts",
                    one.registry
                );
                *earlier = one;
                self.report(at_key(&child, Problem::warning(Code::DuplicateKey, message)));
            } else {
                all.push(one);
            }
        }
        all
    }

    fn mirror(&mut self, item: &Field<'_>) -> Option<Mirror> {
        let text = self.text(item)?;
        let parsed = Mirror::parse(&text).map_err(|error| {
            item.error(Code::BadValue, format!("`registry_mirrors` holds no mirror: {error}"))
                .help("write a host with its port and perhaps a path, such as mirror.example.org or mirror.example.org/hub")
        });
        self.take(parsed)
    }

    fn registry_of_source(&self) -> Option<String> {
        let field = self.field("source")?;
        let image = ImageRef::parse(&field.scalar()?.text).ok()?;
        Some(image.registry().to_owned())
    }

    fn registry_auth(&mut self, dockercfg: &Field<'_>, entry: &Entry) -> Option<RegistryAuth> {
        let field = dockercfg.child(entry);
        if entry.name == "auths" {
            let problem = Problem::error(Code::RegistryLogin, "`dockercfg` has no level `auths`");
            self.report(at_key(&field, problem).help("put the registries directly below `dockercfg`"));
            return None;
        }
        let Some(registry) = registry_host(&entry.name) else {
            let problem = Problem::error(Code::RegistryLogin, "this is no registry's address");
            self.report(
                at_key(&field, problem).help("write `https://registry.example.org` or the host alone"),
            );
            return None;
        };
        let ours = self.registry_of_source().is_none_or(|source| source == registry);
        let before = self.problems.len();
        let auth = self.section(field).and_then(|section| section.get("auth"));
        let source = auth.and_then(|auth| self.take(secret(&auth, &registry)));
        if !ours {
            // Taupage passed it on unread, and nobody asks this registry.
            for problem in self.problems.iter_mut().skip(before) {
                problem.severity = Severity::Warning;
            }
        }
        let source = source?;
        Some(RegistryAuth {
            registry,
            auth: source,
        })
    }
}

fn secret(field: &Field<'_>, registry: &str) -> Result<SecretSource, Problem> {
    let refused = || {
        field
            .error(
                Code::RegistryLogin,
                format!("the `auth` for `{registry}` is not the base64 of user:password"),
            )
            .help("make it with: printf '%s' 'user:password' | base64 -w0")
    };
    let scalar = field.scalar().ok_or_else(refused)?;
    if let Some(ciphertext) = field.ciphertext(&scalar.text) {
        return ciphertext.map(SecretSource::Kms);
    }
    let encoded: String = scalar.text.split_ascii_whitespace().collect();
    let decoded = STANDARD.decode(&encoded).map_err(|_| refused())?;
    // Wiped when dropped: it is the password in clear.
    let login = Secret::new(String::from_utf8(decoded).map_err(|_| refused())?);
    if login.expose().contains(':') {
        Ok(SecretSource::Literal(Secret::new(encoded)))
    } else {
        Err(refused())
    }
}

/// The host of a registry's address, as image references name it.
fn registry_host(address: &str) -> Option<String> {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    let host = rest.split('/').next().unwrap_or_default();
    let fits = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    let host = if matches!(host, "index.docker.io" | "registry-1.docker.io") {
        "docker.io"
    } else {
        host
    };
    fits.then(|| host.to_owned())
}

fn at_key(field: &Field<'_>, problem: Problem) -> Problem {
    problem.at(field.key_place).key(field.path.clone())
}
