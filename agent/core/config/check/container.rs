//! The container's own options: flags, host name, network, shared memory, restarts.

use super::super::model::{Networking, RestartPolicy};
use super::super::problem::Code;
use super::super::yaml::Resolved;
use super::Checker;

impl Checker<'_> {
    pub(super) fn strict_flag(&mut self, key: &str) -> Option<bool> {
        let field = self.field(key)?;
        self.take(field.strict_flag())
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let field = self.field(key)?;
        let read = self.take(field.flag())?;
        Some(self.warned(read))
    }

    pub(super) fn hostname(&mut self) -> Option<String> {
        let field = self.field("hostname")?;
        let read = self.take(field.text())?;
        let text = self.warned(read);
        if text.is_empty() {
            return None;
        }
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 63 && text.split('.').all(label) {
            return Some(text);
        }
        let message =
            "`hostname` is up to 63 letters, digits, dots and dashes, and no part begins or ends with a dash";
        self.report(field.error(Code::BadValue, message));
        None
    }

    pub(super) fn networking(&mut self) -> Option<Networking> {
        let field = self.field("networking")?;
        if field
            .scalar()
            .is_some_and(|scalar| scalar.text.starts_with("container:"))
        {
            let problem = field.error(
                Code::Networking,
                "`networking: container:...` is refused: monopod runs exactly one container",
            );
            self.report(problem.help("write `bridge`, `host` or `none`"));
            return None;
        }
        self.choice(&field).map(|word| match word {
            "host" => Networking::Host,
            "none" => Networking::None,
            _ => Networking::Bridge,
        })
    }

    pub(super) fn restart(&mut self) -> Option<RestartPolicy> {
        let field = self.field("restart")?;
        let known = match field.scalar() {
            Some(scalar) if scalar.value == Resolved::Bool(false) => Some("write `restart: never`"),
            Some(scalar) if scalar.text == "no" => Some("write `restart: never`"),
            Some(scalar) if scalar.text == "unless-stopped" => Some("write `restart: always`"),
            Some(scalar) if scalar.text.starts_with("on-failure:") => {
                Some("write `restart: on-failure`: restarts have a budget over time instead of a number")
            }
            _ => None,
        };
        if let Some(help) = known {
            let problem = field.error(
                Code::BadValue,
                "`restart` has to be `always`, `on-failure` or `never`",
            );
            self.report(problem.help(help));
            return None;
        }
        self.choice(&field).map(|word| match word {
            "always" => RestartPolicy::Always,
            "never" => RestartPolicy::Never,
            _ => RestartPolicy::OnFailure,
        })
    }
}
