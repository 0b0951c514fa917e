//! The machine around the container: read whole, though this version changes little of it.

use super::super::contract::SYSFS;
use super::super::model::{Audit, Host};
use super::super::problem::Code;
use super::super::yaml::Resolved;
use super::Checker;
use super::field::Field;

impl<'c> Checker<'c> {
    pub(super) fn host(&mut self) -> Host {
        Host {
            sysctl: self.sysctl(),
            sysfs: self.sysfs(),
            ssh_ports: self.ssh_ports(),
            ssh_gateway_ports: self.ssh_gateway_ports(),
            keep_instance_users: self.flag("keep_instance_users"),
            enhanced_cloudwatch_metrics: self.flag("enhanced_cloudwatch_metrics"),
            xray_enabled: self.flag("xray_enabled"),
            etcd_discovery_domain: self
                .field("etcd_discovery_domain")
                .and_then(|field| self.word(&field)),
            tokeninfo_url: self.url("tokeninfo_url"),
            local_planb_tokeninfo: self.flag("local_planb_tokeninfo"),
        }
    }

    pub(super) fn audit(&mut self) -> Audit {
        Audit {
            instance_logs_url: self.url("instance_logs_url"),
            logsink_username: self.field("logsink_username").and_then(|field| self.word(&field)),
            logsink_password: self
                .field("logsink_password")
                .and_then(|field| self.read_secret(&field)),
        }
    }

    fn url(&mut self, key: &str) -> Option<String> {
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

    /// Names and values; a value of several numbers is one string.
    fn settings(&mut self, field: &Field<'c>) -> Vec<(String, String, Field<'c>)> {
        let mut all = Vec::new();
        for (entry, child) in self.children(field) {
            match child.scalar() {
                Some(scalar) => all.push((entry.name.clone(), scalar.python_str(), child)),
                None => {
                    let problem = child.wrong_type("a single value");
                    self.report(problem.help("put several numbers into one string"));
                }
            }
        }
        all
    }

    fn sysctl(&mut self) -> Vec<(String, String)> {
        let Some(field) = self.field("sysctl") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (name, value, child) in self.settings(&field) {
            let is_name = name.contains(['.', '/'])
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
                && !name.contains("..")
                && !name.starts_with(['.', '/']);
            if is_name {
                all.push((name, value));
            } else {
                let problem = child.error(Code::BadValue, "this is not the name of a kernel setting");
                self.report(problem.at(child.key_place).help("write `fs.file-max: 262144`"));
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
            if name == SYSFS {
                all.push((name, value));
            } else {
                // Taupage wrote the others all the same, and nothing is written by this version.
                let problem = child.warning(Code::BadValue, "this path below /sys may not be written");
                self.report(problem.at(child.key_place).help(format!("only {SYSFS} may")));
            }
        }
        all
    }

    fn ssh_ports(&mut self) -> Vec<u16> {
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
            self.list(&field)
        };
        for item in items {
            ports.extend(self.read_number(&item).and_then(|port| u16::try_from(port).ok()));
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
