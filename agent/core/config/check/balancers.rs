//! The load balancers that have to call the machine healthy.

use super::super::problem::{Code, Problem};
use super::Checker;
use super::field::Field;
use super::read::Section;
use crate::lifecycle::{Balancer, Balancers, Require};

/// As long as Taupage waited.
const DEFAULT_TIMEOUT_SECONDS: u32 = 300;
/// One good answer may be a load balancer's that has not looked yet.
const DEFAULT_THRESHOLD: u32 = 2;

const CLASSIC: &str = "loadbalancer_name";
const GROUPS: &str = "target_groups";

impl Checker<'_> {
    pub(super) fn balancers(&mut self) -> Balancers {
        let Some(section) = self.field("healthcheck").and_then(|field| self.section(field)) else {
            return Balancers::default();
        };
        let kind = section.get("type").and_then(|field| self.choice(&field));
        let require = section.get("require").and_then(|field| self.choice(&field));
        let threshold = section
            .get("healthy_threshold")
            .and_then(|field| self.read_number(&field));
        let timeout = section.get("timeout").and_then(|field| self.take(field.time()));
        let (classic, groups) = (
            self.balancer_names(&section, CLASSIC),
            self.balancer_names(&section, GROUPS),
        );
        // Which of the two is meant cannot be told without the type, whose absence is reported.
        let Some(kind) = kind else {
            return Balancers::default();
        };
        let (all, wanted, other) = if kind == "elbv2" {
            let groups: Vec<Balancer> = groups.into_iter().map(Balancer::TargetGroup).collect();
            (groups, GROUPS, CLASSIC)
        } else {
            let classic: Vec<Balancer> = classic.into_iter().map(Balancer::Classic).collect();
            (classic, CLASSIC, GROUPS)
        };
        self.only_one_kind(&section, kind, wanted, other);
        Balancers {
            all,
            require: match require {
                Some("all") => Require::All,
                _ => Require::Any,
            },
            healthy_threshold: threshold.unwrap_or(DEFAULT_THRESHOLD),
            timeout_seconds: timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
        }
    }

    /// What the type needs is there, and what it does not need is not.
    fn only_one_kind(&mut self, section: &Section<'_>, kind: &str, wanted: &str, other: &str) {
        if let Some(field) = section.get(other) {
            let message = format!("`{}` has no effect with `type: {kind}`", field.path);
            self.report(field.warning(Code::NoEffectHere, message).at(field.key_place));
        }
        let names = section.stands(wanted);
        // An empty text and a wrong type are reported where they stand, and a hole will be a name.
        let says_something = names.as_ref().is_some_and(|field| {
            field.is_broken() || field.items().map_or(!field.is_null(), |items| !items.is_empty())
        });
        if says_something {
            return;
        }
        let Some(field) = self.field("healthcheck") else {
            return;
        };
        let message = format!("`healthcheck` with `type: {kind}` needs `{wanted}`");
        let problem = Problem::error(Code::Missing, message)
            .at(names.map_or(field.key_place, |names| names.key_place))
            .key(field.path);
        self.report(problem.help(format!(
            "write `{wanted}: [FIRST, SECOND]` below it, or a single one"
        )));
    }

    /// One or a list, each once.
    fn balancer_names(&mut self, section: &Section<'_>, key: &str) -> Vec<String> {
        let Some(field) = section.get(key) else {
            return Vec::new();
        };
        let items = if field.scalar().is_some() {
            vec![field.item(field.node)]
        } else {
            self.list(&field)
        };
        let mut all: Vec<String> = Vec::new();
        for item in items {
            let Some(name) = self.word(&item) else {
                continue;
            };
            if key == GROUPS && !is_target_group(&name) {
                self.report(no_target_group(&item));
            } else if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }
}

fn no_target_group(item: &Field<'_>) -> Problem {
    let message = format!(
        "`{}` holds something that is not the ARN of a target group",
        item.path
    );
    item.error(Code::BadValue, message).help(
        "write `arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/my-app/0123456789abcdef`, as `Ref` of the target group gives it",
    )
}

/// `arn:PARTITION:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID`
fn is_target_group(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let [
        "arn",
        partition,
        "elasticloadbalancing",
        region,
        account,
        resource,
    ] = parts.as_slice()
    else {
        return false;
    };
    let parts: Vec<&str> = resource.split('/').collect();
    let ["targetgroup", name, id] = parts.as_slice() else {
        return false;
    };
    is_partition(partition)
        && super::super::model::is_region(region)
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !id.is_empty()
        && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `aws`, `aws-cn`, `aws-us-gov` and what may come.
fn is_partition(text: &str) -> bool {
    let mut words = text.split('-');
    words.next() == Some("aws")
        && words.all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
}
