//! Whose AWS credentials the container gets, and what contradicts that.

use super::super::keys::nearest_of;
use super::super::model::{Firewall, Networking};
use super::super::policy::Rule;
use super::super::problem::{Code, Problem};
use super::super::yaml::Resolved;
use super::Checker;
use super::field::Field;
use crate::identity::{self, Credentials, Identity, Metadata, RoleArn};

const KEY: &str = "aws_credentials";
const METADATA: &str = "instance_metadata";

impl Checker<'_> {
    pub(super) fn aws_credentials(&mut self) -> Option<Credentials> {
        let field = self.field(KEY)?;
        let text = self.word(&field)?;
        match text.as_str() {
            "instance" => Some(Credentials::Instance),
            "none" => Some(Credentials::None),
            _ => match RoleArn::parse(&text) {
                Ok(arn) => Some(Credentials::Role(arn)),
                Err(identity::NotARole) => {
                    self.report(no_role(&field, &text));
                    None
                }
            },
        }
    }

    /// What follows from it, and which other keys say something else.
    pub(super) fn identity(
        &mut self,
        said: Option<&Credentials>,
        firewall: &Firewall,
        networking: Networking,
    ) -> Identity {
        let credentials = said.cloned().unwrap_or_default();
        let identity = identity::decide(
            &credentials,
            firewall.instance_metadata,
            firewall.metadata_forbidden,
            networking,
        );
        if credentials != Credentials::Instance {
            self.metadata_is_closed();
        }
        if let (Some(Credentials::Role(_)), Metadata::Unreachable) = (said, identity.metadata)
            && let Some(field) = self.field(KEY)
        {
            let message =
                "`aws_credentials` has no effect with `networking: none`: nobody can be asked for them";
            self.report(field.warning(Code::NoEffectHere, message));
        }
        self.variables_of(&identity);
        identity
    }

    /// Whoever asks for a role and for the metadata service would have both roles.
    fn metadata_is_closed(&mut self) {
        let said = self.field(METADATA).filter(|field| {
            field
                .scalar()
                .is_some_and(|scalar| scalar.value == Resolved::Bool(true))
        });
        let (Some(field), Some(key)) = (said, self.field(KEY)) else {
            return;
        };
        let message = "`instance_metadata: true` contradicts `aws_credentials`: the instance's own credentials would be one request away";
        let problem = field
            .error(Code::BadValue, message)
            .because("the credentials are chosen here", key.key_place);
        self.report(problem.help("leave out `instance_metadata`, or write `aws_credentials: instance`"));
    }

    /// Ours are ours, and those that SDKs look at first are the user's own.
    fn variables_of(&mut self, identity: &Identity) {
        let Some(field) = self.field("environment") else {
            return;
        };
        for entry in field.entries().unwrap_or_default() {
            let name = entry.name.as_str();
            let child = field.child(entry);
            let problem = if identity.sets(name) {
                let message = format!("`{name}` is set by monopod for `{KEY}`: this value has no effect");
                Problem::warning(Code::EnvironmentOverridden, message)
            } else if identity.served().is_some() && identity::GO_BEFORE.contains(&name) {
                let message = format!(
                    "`{name}` goes before the credentials that `{KEY}` asks for: AWS SDKs look at it first"
                );
                Problem::warning(Code::NoEffectHere, message)
                    .help("remove the variable, unless that is meant")
            } else {
                continue;
            };
            self.report(problem.at(child.key_place).key(child.path.clone()));
        }
    }

    /// Leaving the key out asks for the instance's credentials.
    pub(super) fn enforce_credentials(&mut self, identity: &Identity, rule: Option<&Rule<bool>>) {
        let Some(Rule { value: false, place }) = rule else {
            return;
        };
        if identity.credentials != Credentials::Instance || identity.metadata == Metadata::Unreachable {
            return;
        }
        let entry = self.entries.iter().find(|entry| entry.name == KEY);
        // What could not be read is reported already, and a template's hole will say something.
        if entry.is_some_and(|entry| is_another(&Field::top(entry))) {
            return;
        }
        let message = match self.field(KEY) {
            Some(_) => "`aws_credentials: instance` is what the policy of the machine's image does not allow",
            None => {
                "`aws_credentials` is left out, which means `instance`, and the policy of the machine's image does not allow that"
            }
        };
        let problem = Problem::error(Code::Forbidden, message)
            .help("write `aws_credentials: none`, or the ARN of a role that the instance's may assume");
        self.refuse(KEY, problem, "allow.instance_credentials", *place);
    }
}

fn is_another(field: &Field<'_>) -> bool {
    field.scalar().is_none_or(|scalar| {
        let says_nothing = scalar.value == Resolved::Null || scalar.text.trim().is_empty();
        !says_nothing && scalar.text != "instance"
    })
}

/// Three that look like it are easily told.
fn no_role(field: &Field<'_>, text: &str) -> Problem {
    let problem = field.error(
        Code::BadValue,
        "`aws_credentials` is `instance`, `none` or the ARN of a role",
    );
    if let Some(near) = nearest_of(text, field.shape.words().iter().copied()) {
        return problem.help(format!("did you mean `{near}`?"));
    }
    problem.help(if text.contains(":instance-profile/") {
        "this is the ARN of an instance profile; write that of a role, `arn:aws:iam::123456789012:role/my-app`"
    } else if text.contains(":assumed-role/") {
        "this is the ARN of a session; write that of its role, `arn:aws:iam::123456789012:role/my-app`"
    } else {
        "write the whole of it, as `arn:aws:iam::123456789012:role/my-app`"
    })
}
