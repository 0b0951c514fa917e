//! The machine around the container.

use super::super::contract::SYSFS;
use super::super::model::{Host, PortMapping, Protocol};
use super::super::problem::Code;
use super::super::yaml::{Kind, Resolved};
use super::Checker;
use super::field::Field;
use super::logging::is_host;
use crate::machine::sysctl::{canonical_name, runs_a_program};

/// What transparent huge pages may be.
const HUGE_PAGES: &[&str] = &["always", "madvise", "never"];

impl<'c> Checker<'c> {
    pub(super) fn host(&mut self, published: &[PortMapping]) -> Host {
        Host {
            sysctl: self.sysctl(),
            sysfs: self.sysfs(),
            ssh_ports: self.ssh_ports(published),
            ssh_gateway_ports: self.ssh_gateway_ports(),
            keep_instance_users: self.flag("keep_instance_users"),
            enhanced_cloudwatch_metrics: self.flag("enhanced_cloudwatch_metrics"),
            xray_enabled: self.flag("xray_enabled"),
            etcd_discovery_domain: self
                .field("etcd_discovery_domain")
                .and_then(|field| self.domain(&field)),
            tokeninfo_url: self.url("tokeninfo_url"),
            local_planb_tokeninfo: self.flag("local_planb_tokeninfo"),
            metrics: self.metrics(),
        }
    }

    pub(super) fn url(&mut self, key: &str) -> Option<String> {
        let field = self.field(key)?;
        self.read_url(&field)
    }

    pub(super) fn read_url(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.word(field)?;
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        if host.is_some_and(|host| {
            !host.is_empty() && !host.starts_with('/') && !text.contains(char::is_whitespace)
        }) {
            return Some(text);
        }
        let problem = field.error(Code::BadValue, format!("`{}` has to be a URL", field.path));
        self.report(problem.help(format!("write `{}: https://...`", field.path)));
        None
    }

    fn domain(&mut self, field: &Field<'_>) -> Option<String> {
        let domain = self.word(field)?;
        if is_host(&domain) {
            return Some(domain);
        }
        let message = format!("`{}` has to be a DNS name, and nothing else", field.path);
        let help = "write it like `etcd.example.org`, without scheme and port, or `disable` for etcd on the machine itself";
        self.report(field.error(Code::BadValue, message).help(help));
        None
    }

    /// Names and values; a value of several numbers is one string.
    fn settings(&mut self, field: &Field<'c>) -> Vec<(String, String, Field<'c>)> {
        let mut all = Vec::new();
        for (entry, child) in self.children(field) {
            let Some(scalar) = child.scalar() else {
                let problem = child.wrong_type("a single value");
                self.report(problem.help("put several numbers into one string"));
                continue;
            };
            let problem = match scalar.value {
                // Python's spelling of these is what no kernel reads.
                Resolved::Bool(_) => child
                    .wrong_type("a number or a string")
                    .help("write what the kernel wants: 1 for yes and 0 for no; put words in quotes"),
                _ if scalar.text.trim().contains(['\n', '\r', '\0']) => child
                    .error(Code::BadValue, format!("`{}` is more than one line", child.path))
                    .help("put several numbers into one line, with blanks between"),
                _ => {
                    all.push((entry.name.clone(), scalar.python_str().trim().to_owned(), child));
                    continue;
                }
            };
            self.report(problem);
        }
        all
    }

    fn sysctl(&mut self) -> Vec<(String, String)> {
        let Some(field) = self.field("sysctl") else {
            return Vec::new();
        };
        let mut all: Vec<(String, String)> = Vec::new();
        for (name, value, child) in self.settings(&field) {
            if !is_setting(&name) {
                let problem = child.error(Code::BadValue, "this is not the name of a kernel setting");
                self.report(problem.at(child.key_place).help("write `fs.file-max: 262144`"));
                continue;
            }
            let name = canonical_name(&name);
            if runs_a_program(&name, &value) {
                let message = "this kernel setting names a program that the kernel would run as root, outside of every container";
                let problem = child.error(Code::BadValue, message).at(child.key_place);
                self.report(problem.help("bring it in the machine's image, in /etc/sysctl.d; a plain path in kernel.core_pattern may be set here"));
            } else if all.iter().any(|(other, _)| *other == name) {
                let message = "this kernel setting stands here twice, with dots and with slashes";
                let problem = child.error(Code::DuplicateKey, message).at(child.key_place);
                self.report(problem.help("keep one of the two"));
            } else {
                all.push((name, value));
            }
        }
        all
    }

    fn sysfs(&mut self) -> Vec<(String, String)> {
        let Some(field) = self.field("sysfs") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (name, value, child) in self.settings(&field) {
            if name != SYSFS {
                // Taupage passed over the others, too, and its machines booted.
                let message = "this path below /sys may not be written: it has no effect";
                let problem = child.warning(Code::BadValue, message);
                self.report(problem.at(child.key_place).help(format!("only {SYSFS} may")));
            } else if !HUGE_PAGES.contains(&value.as_str()) {
                let problem = child.error(Code::BadValue, "the kernel knows no such use of huge pages");
                self.report(problem.help(format!("write one of {}", HUGE_PAGES.join(", "))));
            } else {
                all.push((name, value));
            }
        }
        all
    }

    /// Never none: nobody could log in any more.
    fn ssh_ports(&mut self, published: &[PortMapping]) -> Vec<u16> {
        let Some(field) = self.field("ssh_ports") else {
            return Vec::new();
        };
        let mut ports = Vec::new();
        let items = if field.scalar().is_some() {
            let problem = field.warning(
                Code::Coerced,
                "`ssh_ports` is a single port, and is taken as a list of one",
            );
            self.report(problem.help("write `ssh_ports: [22]`"));
            vec![field.item(field.node)]
        } else {
            let items = self.list(&field);
            if items.is_empty() && matches!(&field.node.kind, Kind::Seq(nodes) if nodes.is_empty()) {
                let problem = field.error(Code::BadValue, "`ssh_ports` is empty: nobody could log in");
                self.report(problem.help("write `ssh_ports: [22]`, or remove the key"));
            }
            items
        };
        for item in items {
            let port = self.read_number(&item).and_then(|port| u16::try_from(port).ok());
            let Some(port) = port.filter(|port| !ports.contains(port)) else {
                continue;
            };
            if published
                .iter()
                .any(|one| one.host == port && one.protocol == Protocol::Tcp)
            {
                let message = "the container publishes a port that sshd is told to listen on";
                let problem = item.error(Code::PortTaken, message);
                self.report(problem.help("one of the two has to move: `ports` or `ssh_ports`"));
            }
            ports.push(port);
        }
        ports
    }

    /// A YAML boolean is what sshd calls yes and no.
    fn ssh_gateway_ports(&mut self) -> Option<String> {
        let field = self.field("ssh_gateway_ports")?;
        if let Some(Resolved::Bool(value)) = field.scalar().map(|scalar| &scalar.value) {
            return Some(if *value { "yes" } else { "no" }.to_owned());
        }
        self.choice(&field).map(str::to_owned)
    }
}

/// Parts with a dot or a slash between, so that none leads out of the directory it is in.
fn is_setting(name: &str) -> bool {
    let parts: Vec<&str> = name.split(['.', '/']).collect();
    let is_part = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    parts.len() > 1 && parts.iter().all(is_part)
}
