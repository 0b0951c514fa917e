//! Registry logins: `dockercfg` in the form docker had before 2015, `{url: {auth, email}}`, in the form it has since,
//! `{auths: {url: {auth}}}`, or both; logins that are made on
//! the machine; and mirrors of registries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::image::{ImageRef, check_registry};
use super::super::mirror::{Mirror, RegistryMirrors};
use super::super::model::{EcrHost, RegistryAuth, RegistryLogin, is_region};
use super::super::problem::{Code, Problem, Severity};
use super::super::registry::RegistryHost;
use super::super::yaml::Entry;
use super::Checker;
use super::field::Field;
use super::read::Section;
use crate::secret::{Secret, SecretSource};

const HELP: &str = "write `dockercfg: {\"https://registry.example.org\": {auth: \"aws:kms:...\"}}`";
/// What stands beside a login's kind and has no meaning there.
const OF_BASIC: [&str; 3] = ["auth", "username", "password"];

impl Checker<'_> {
    pub(super) fn registry_auths(&mut self) -> Vec<RegistryAuth> {
        let Some(field) = self.field("dockercfg") else {
            return Vec::new();
        };
        let mut auths: Vec<RegistryAuth> = Vec::new();
        for entry in self.registries(&field) {
            match entry.name.as_str() {
                "auths" => {
                    // The same map again, one level deeper.
                    let inner = Field {
                        shape: field.shape,
                        ..field.child(entry)
                    };
                    if inner.is_null() {
                        continue;
                    }
                    for entry in self.registries(&inner) {
                        self.add_registry(&inner, entry, &mut auths);
                    }
                }
                "credsStore" | "credHelpers" => self.report(helper(&field.child(entry))),
                _ => self.add_registry(&field, entry, &mut auths),
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

    fn registries<'f>(&mut self, field: &Field<'f>) -> &'f [Entry] {
        self.take(field.entries().map_err(|problem| problem.help(HELP)))
            .unwrap_or_default()
    }

    fn add_registry(&mut self, dockercfg: &Field<'_>, entry: &Entry, auths: &mut Vec<RegistryAuth>) {
        let Some(auth) = self.registry_auth(dockercfg, entry) else {
            return;
        };
        let Some(earlier) = auths.iter_mut().find(|earlier| earlier.registry == auth.registry) else {
            auths.push(auth);
            return;
        };
        let message = format!(
            "two entries are for the registry `{}`; the last one counts",
            auth.registry
        );
        *earlier = auth;
        let problem = Problem::warning(Code::DuplicateKey, message);
        self.report(at_key(&dockercfg.child(entry), problem));
    }

    fn registry_of_source(&self) -> Option<String> {
        let field = self.field("source")?;
        let image = ImageRef::parse(&field.scalar()?.text).ok()?;
        Some(RegistryHost::new(image.registry()).to_string())
    }

    fn registry_auth(&mut self, dockercfg: &Field<'_>, entry: &Entry) -> Option<RegistryAuth> {
        let field = dockercfg.child(entry);
        let Some(registry) = registry_host(&entry.name) else {
            let problem = Problem::error(Code::RegistryLogin, "this is no registry's address");
            self.report(
                at_key(&field, problem).help("write `https://registry.example.org` or the host alone"),
            );
            return None;
        };
        let ours = self.registry_of_source().is_none_or(|source| source == registry);
        let before = self.problems.len();
        let login = self.registry_login(field, &registry);
        if !ours {
            // Taupage passed it on unread, and nobody asks this registry.
            for problem in self.problems.iter_mut().skip(before) {
                problem.severity = Severity::Warning;
            }
        }
        Some(RegistryAuth {
            registry,
            login: login?,
        })
    }

    fn registry_login(&mut self, field: Field<'_>, registry: &str) -> Option<RegistryLogin> {
        for entry in field.entries().unwrap_or_default() {
            if matches!(entry.name.as_str(), "identitytoken" | "registrytoken") {
                let child = field.child(entry);
                let message = format!(
                    "`{}` is a login that ends, and monopod cannot renew it",
                    child.path
                );
                let problem = at_key(&child, Problem::error(Code::RegistryLogin, message));
                self.report(problem.help("make a login that lasts (a robot account), and write its `auth`"));
                return None;
            }
        }
        let section = self.section(field.clone())?;
        let kind = match section.get("login") {
            None => "basic",
            Some(kind) => self.choice(&kind)?,
        };
        let beside: &[&str] = match kind {
            "basic" => &["region"],
            "ecr" => &OF_BASIC,
            _ => &["auth", "username", "password", "region"],
        };
        for name in beside {
            if let Some(unused) = section.get(name) {
                let message = format!("`{}` has no effect beside `login: {kind}`", unused.path);
                self.report(at_key(&unused, Problem::warning(Code::NoEffectHere, message)));
            }
        }
        // Every value is read, so that a mistake is found whether it would be used or not.
        let region = section.get("region").map(|region| self.region(&region, registry));
        let basic = self.basic_login(&field, &section, registry, kind == "basic");
        match (kind, region) {
            (_, Some(None)) => None,
            ("basic", _) => basic,
            ("ecr", Some(Some(region))) => Some(RegistryLogin::Ecr { region }),
            ("ecr", None) => self.ecr_by_name(&field, registry),
            _ => Some(RegistryLogin::InstanceIdentity),
        }
    }

    fn basic_login(
        &mut self,
        field: &Field<'_>,
        section: &Section<'_>,
        registry: &str,
        wanted: bool,
    ) -> Option<RegistryLogin> {
        let auth = section.get("auth");
        let auth = auth.map(|auth| self.take_secret(secret(&auth, registry)));
        let user = section.get("username").map(|user| self.read_secret(&user));
        let password = section
            .get("password")
            .map(|password| self.read_secret(&password));
        if !wanted {
            return None;
        }
        if let Some(auth) = auth {
            if user.is_some() || password.is_some() {
                let message = format!(
                    "`{}` has an `auth`, beside which `username` and `password` have no effect",
                    field.path
                );
                self.report(at_key(field, Problem::warning(Code::NoEffectHere, message)));
            }
            return auth.map(RegistryLogin::Auth);
        }
        let message = match (user, password) {
            (Some(user), Some(password)) => {
                return Some(RegistryLogin::Password {
                    user: user?,
                    password: password?,
                });
            }
            (None, None) => format!("`{}` has no `auth`", field.path),
            (Some(_), None) => format!("`{}` has a `username` and no `password`", field.path),
            (None, Some(_)) => format!("`{}` has a `password` and no `username`", field.path),
        };
        let problem = at_key(field, Problem::error(Code::Missing, message));
        self.report(problem.help("write `auth: aws:kms:...` below it, or `username` and `password`"));
        None
    }

    fn region(&mut self, field: &Field<'_>, registry: &str) -> Option<String> {
        let region = self.text(field)?;
        if !is_region(&region) {
            let message = format!("`{}` has to be the name of a region", field.path);
            self.report(
                field
                    .error(Code::BadValue, message)
                    .help("write it like `eu-central-1`"),
            );
            return None;
        }
        if EcrHost::parse(registry).is_some_and(|host| host.region != region) {
            let message = format!("`{}` is not the region in the registry's name", field.path);
            self.report(field.error(Code::RegistryLogin, message).help("leave it out"));
            return None;
        }
        Some(region)
    }

    fn ecr_by_name(&mut self, field: &Field<'_>, registry: &str) -> Option<RegistryLogin> {
        let Some(host) = EcrHost::parse(registry) else {
            let message = format!(
                "`{}` has to say which region's ECR makes the login: the host's name does not",
                field.path
            );
            let problem = at_key(field, Problem::error(Code::Missing, message));
            self.report(problem.help("write `region: eu-central-1` below it"));
            return None;
        };
        Some(RegistryLogin::Ecr { region: host.region })
    }
}

/// A helper is a program, and the machine's image has none that we know of.
fn helper(field: &Field<'_>) -> Problem {
    let message = format!(
        "`{}` names a program of docker's, and monopod runs none",
        field.path
    );
    at_key(field, Problem::error(Code::RegistryLogin, message)).help(
        "leave it out: ECR's logins are made without it (`login: ecr`); for other registries write `auth`",
    )
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
    if let Some(reference) = field.reference(&scalar.text) {
        return reference.map(SecretSource::Stored);
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

/// The host of a registry's address, in one spelling.
pub(super) fn registry_host(address: &str) -> Option<String> {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    let host = rest.split('/').next().unwrap_or_default();
    check_registry(host).ok()?;
    Some(RegistryHost::new(host).to_string())
}

fn at_key(field: &Field<'_>, problem: Problem) -> Problem {
    problem.at(field.key_place).key(field.path.clone())
}
