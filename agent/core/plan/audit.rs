//! Audit records: where they go, and what that asks of AWS.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{AwsCall, Plan};
use crate::audit::{AuditOrders, AuditPlan};
use crate::config::Audit;
use crate::logs::LogKey;
use crate::secret::Source;
use crate::text;

const PASSWORD: &str = "logsink_password";

impl AuditPlan {
    /// `None` where nothing is sent. A password without a user has no effect.
    pub fn new(audit: &Audit) -> Option<Self> {
        let username = audit.logsink_username.clone();
        let password = audit.logsink_password.as_ref().filter(|_| username.is_some());
        Some(Self {
            url: audit.instance_logs_url.clone()?,
            password: password.map(|source| LogKey::new(source, PASSWORD)),
            username,
        })
    }
}

impl AuditOrders {
    /// Of user data that makes no plan: how that boot ended is told, as far as it says to whom.
    pub fn of_unreadable(audit: &Audit) -> Option<Self> {
        Some(Self {
            plan: AuditPlan::new(audit)?,
            config_hash: None,
            opt_outs: Vec::new(),
        })
    }
}

impl Plan {
    /// What whoever sends audit records has to know; `None` where none are sent.
    pub fn audit_orders(&self) -> Option<AuditOrders> {
        let mut opt_outs: Vec<String> = self
            .container
            .opt_outs()
            .iter()
            .map(|one| one.key.to_owned())
            .collect();
        opt_outs.dedup();
        Some(AuditOrders {
            plan: self.audit.clone()?,
            config_hash: Some(self.config_hash()),
            opt_outs,
        })
    }

    /// Over what the user data and the image's layers ask for, secrets as references: the same on every machine of a
    /// group, whatever its tag means there.
    fn config_hash(&self) -> String {
        let hash = Sha256::digest(self.intent.to_string().as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The password is fetched when the first record is sent, so it is in no step.
    pub(super) fn audit_calls(&self, calls: &mut Vec<AwsCall>) {
        let Some(LogKey::Stored(reference)) = self.audit.as_ref().and_then(|audit| audit.password.as_ref())
        else {
            return;
        };
        self.late_call(calls, &reference.source, PASSWORD);
    }

    /// A secret that is fetched when it is first needed.
    pub(super) fn late_call(&self, calls: &mut Vec<AwsCall>, source: &Source, name: &str) {
        let (action, resource, verb) = self.access(source);
        let why = format!("{verb} {name}");
        match calls
            .iter_mut()
            .find(|call| (call.action, &call.resource) == (action, &resource))
        {
            Some(call) => {
                call.times += 1;
                call.why.push_str(", ");
                call.why.push_str(&why);
            }
            None => calls.push(AwsCall {
                action,
                resource,
                times: 1,
                why,
            }),
        }
    }

    /// The section of a plan's text.
    pub(super) fn write_audit(&self, out: &mut String) -> fmt::Result {
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        writeln!(out, "\nAudit, sent until it is taken")?;
        for (key, value) in [
            (
                "to",
                format!("{}, {}", text::without_query(&audit.url), login_text(audit)),
            ),
            (
                "USER_DATA",
                "the configuration, masked but for what is no secret, once a boot".to_owned(),
            ),
            (
                "BOOT_RECORD",
                "how the boot went, when it is over, and when that changes".to_owned(),
            ),
            (
                "RUNTIME_EVENT",
                "what happens on the machine and is about its security, as it happens".to_owned(),
            ),
            (
                "AUDIT_LOG",
                "audit.log.*.gz, each removed once it is taken; audit.log at shutdown".to_owned(),
            ),
        ] {
            writeln!(out, "  {key:<18} {}", text::printable(&value))?;
        }
        Ok(())
    }

    /// For programs.
    pub(super) fn audit_json(&self) -> Value {
        json!(self.audit.as_ref().map(|audit| json!({
            "url": text::without_query(&audit.url),
            "username": audit.username,
            "password": audit.password.as_ref().map(|key| super::render::key_text(key, "password")),
        })))
    }
}

fn login_text(audit: &AuditPlan) -> String {
    match (&audit.username, &audit.password) {
        (None, _) => "without a login".to_owned(),
        (Some(user), None) => format!("as {user} without a password"),
        (Some(user), Some(key)) => format!("as {user}, {}", super::render::key_text(key, "password")),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;
    use crate::plan::Plan;

    fn plan(lines: &str) -> Plan {
        let text = format!(
            "#taupage-ami-config\napplication_id: app\napplication_version: '1'\nruntime: Docker\nsource: registry.example.org/team/app:1\n{lines}"
        );
        let report = parse(text.as_bytes(), "user data");
        Plan::new(report.config().unwrap(), Vec::new(), None)
    }

    #[test]
    fn nothing_is_sent_unless_asked_for() {
        let plan = plan("logsink_username: u");
        assert_eq!(plan.audit_orders(), None);
        assert!(!plan.to_text().contains("Audit"));
        assert!(plan.to_json()["audit"].is_null());
    }

    #[test]
    fn a_password_is_named_by_where_it_comes_from_and_no_step_waits_for_it() {
        let stored = plan(
            "instance_logs_url: https://l.example.org/x\nlogsink_username: u\nlogsink_password: aws:ssm:/log/sink\nroot: true",
        );
        let orders = stored.audit_orders().unwrap();
        assert_eq!(orders.config_hash.as_ref().map(String::len), Some(64));
        assert!(orders.opt_outs.contains(&"root".to_owned()), "{orders:?}");
        assert!(stored.every_use().is_empty(), "no step fetches it");
        let calls = stored.aws_calls();
        assert_eq!(
            (calls[0].action, calls[0].why.as_str()),
            ("ssm:GetParameter", "fetch logsink_password")
        );
        assert!(
            stored
                .to_text()
                .contains("https://l.example.org/x, as u, password from <the parameter /log/sink>"),
            "{}",
            stored.to_text()
        );
        let json = serde_json::to_string(&orders).unwrap();
        assert_eq!(
            serde_json::from_str::<crate::audit::AuditOrders>(&json).unwrap(),
            orders
        );

        let literal = plan(
            "instance_logs_url: https://l.example.org/x\nlogsink_username: u\nlogsink_password: hunter2-hunter2",
        );
        let shown = format!(
            "{} {} {literal:?} {:?}",
            literal.to_text(),
            literal.to_json(),
            literal.audit_orders()
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("password from `logsink_password` of the user data"),
            "{shown}"
        );
    }

    #[test]
    fn a_token_in_the_address_is_sent_and_not_shown() {
        let plan = plan("instance_logs_url: 'https://l.example.org/x?token=hunter2'");
        let shown = format!("{} {}", plan.to_text(), plan.to_json());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("https://l.example.org/x?..., without a login"),
            "{shown}"
        );
        let orders = plan.audit_orders().unwrap();
        assert_eq!(orders.plan.url, "https://l.example.org/x?token=hunter2");
    }

    #[test]
    fn the_hash_is_of_what_is_asked_for() {
        let hash =
            |lines: &str| plan(&format!("instance_logs_url: https://l.example.org\n{lines}")).config_hash();
        assert_eq!(hash(""), hash("logsink_username: u"));
        assert_ne!(hash(""), hash("memory: 512m"));
    }
}
