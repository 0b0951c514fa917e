//! A plan for people and for programs. No secret's value is in a plan, so none can get out here.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

mod container;
mod lifecycle;
mod logs;
pub(super) mod storage;

use super::container::{NAME, OptOut};
use super::reconcile::Then;
use super::sets::FileSet;
use super::{Plan, SecretUse, Step, StepId, VALUE_WIDTH};
use crate::config::{Problem, RegistryAuth};
use crate::secret::Source;
use crate::text;
use crate::trust::{Requirement, Trust};
use container::source_text;
pub(super) use logs::key_text;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare(preparation) => preparation.fmt(f),
            Self::FetchSecrets { uses, mint_bucket } => write_fetched(f, uses, mint_bucket.as_deref()),
            Self::ObtainImage(image) if image.digest().is_some() => {
                write!(f, "pull {image} unless it is there")
            }
            Self::ObtainImage(image) => {
                write!(f, "resolve {image} to a digest and pull it unless it is there")
            }
            Self::EnsureContainer(Then::Create) => write!(f, "create {NAME} and start it"),
            Self::EnsureContainer(Then::Adopt { id, .. }) => {
                write!(f, "adopt the running container {}", text::short_id(id))
            }
            Self::EnsureContainer(Then::Resume { id, .. }) => {
                write!(f, "start the container {} again", text::short_id(id))
            }
            Self::AwaitHealth(gate) => write!(f, "wait until {gate}"),
            Self::CompleteLaunchHook(hook) => write!(
                f,
                "let the Auto Scaling group go on (CONTINUE for the hook {hook})"
            ),
            Self::AwaitBalancers(balancers) => write!(f, "wait until {balancers}"),
            Self::Signal(target) => write!(f, "tell CloudFormation SUCCESS for {target}"),
            Self::NotifyReady => f.write_str("tell systemd that the machine is ready"),
        }
    }
}

/// What a step waits for, of the steps that there are: one that is left out is waited for by nobody, and one that another waits
/// for anyway is not named.
fn after(steps: &[Step], id: StepId) -> Vec<StepId> {
    // The steps that come before any plan's are always done.
    let is_there = |id: StepId| id < StepId::Prepare || steps.iter().any(|step| step.id() == id);
    let all: Vec<StepId> = id
        .after()
        .iter()
        .flat_map(|&before| match is_there(before) {
            true => vec![before],
            false => after(steps, before),
        })
        .collect();
    let is_implied = |one: StepId| all.iter().any(|&other| comes_after(other, one));
    all.iter().copied().filter(|&one| !is_implied(one)).collect()
}

fn comes_after(one: StepId, other: StepId) -> bool {
    one.after()
        .iter()
        .any(|&before| before == other || comes_after(before, other))
}

impl Plan {
    /// The plan as text, for a terminal.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ok = self.write_text(&mut out).is_ok();
        out
    }

    /// What follows from where the image comes from, where the policy says anything of that.
    fn write_verdicts(&self, out: &mut String) -> fmt::Result {
        if !self.verdicts.is_empty() {
            writeln!(out, "\nWhere the image comes from, before it starts")?;
        }
        for (key, value) in self.verdicts.rows() {
            writeln!(out, "  {key:<18} {}", text::printable(&value))?;
        }
        Ok(())
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        match &self.facts {
            None => writeln!(
                out,
                "{} on any machine (--facts FILE plans for one)",
                self.application
            )?,
            Some(facts) => {
                writeln!(
                    out,
                    "{} on {} ({}, account {})",
                    self.application, facts.instance_id, facts.region, facts.account_id
                )?;
            }
        }
        writeln!(
            out,
            "\nSteps, inside a boot budget of {}",
            text::duration(self.budget)
        )?;
        let steps = self.steps(&Then::Create);
        for step in &steps {
            let after: Vec<&str> = after(&steps, step.id()).into_iter().map(StepId::name).collect();
            writeln!(out, "  {:<10} {}", step.id(), self.does(step))?;
            writeln!(out, "  {:<10}   after {}", "", after.join(", "))?;
        }
        writeln!(out, "\nImage, before it is pulled")?;
        for (key, value) in trust_rows(&self.trust) {
            writeln!(out, "  {key:<18} {}", text::printable(&value))?;
        }
        self.write_verdicts(out)?;
        writeln!(out, "\nContainer {NAME}")?;
        for (key, value) in self.container.rows() {
            writeln!(out, "  {key:<18} {}", text::printable(&value))?;
        }
        for set in &self.sets {
            writeln!(
                out,
                "  {:<18} {}",
                set.name.target(),
                text::printable(&set.freshness_text())
            )?;
        }
        if self.redact_secrets {
            writeln!(
                out,
                "  {:<18} shipped without the secrets known here",
                "its lines"
            )?;
        }
        writeln!(
            out,
            "\nEnvironment (on the disk in the engine's config.v2.json and containerd's meta.db, values included, readable to root)"
        )?;
        for (name, value) in self.container.variables() {
            writeln!(out, "  {name}={}", text::one_line(&value, VALUE_WIDTH))?;
        }
        writeln!(out, "\nWhen it ends or fails")?;
        for (key, value) in self.lifecycle_rows() {
            writeln!(out, "  {key:<18} {}", text::printable(&value))?;
        }
        self.write_machine(out)?;
        self.write_extras(out)?;
        writeln!(out, "\nOpened by this configuration or not shut in this version")?;
        for OptOut { key, opens } in self.opt_outs() {
            writeln!(out, "  {key:<18} {opens}")?;
        }
        self.logs.write_text(out)?;
        self.write_audit(out)?;
        self.write_aws(out)?;
        self.write_storage(out)?;
        self.write_from_image(out)?;
        write_problems(out, &self.warnings, "warning")?;
        write_problems(
            out,
            &self.refused,
            "reason why this version boots no machine with it",
        )
    }

    fn write_machine(&self, out: &mut String) -> fmt::Result {
        let rows = self.machine.rows();
        if !rows.is_empty() {
            writeln!(out, "\nMachine")?;
        }
        for (key, value) in rows {
            writeln!(out, "  {key:<18} {}", text::printable(&value))?;
        }
        Ok(())
    }

    fn write_extras(&self, out: &mut String) -> fmt::Result {
        let rows = self.extras.rows();
        if !rows.is_empty() {
            writeln!(out, "\nBeside the container")?;
        }
        for (key, value) in rows {
            writeln!(out, "  {key:<18} {}", text::printable(&value))?;
        }
        Ok(())
    }

    fn write_from_image(&self, out: &mut String) -> fmt::Result {
        if !self.from_image.is_empty() {
            writeln!(out, "\nSet by the machine's image")?;
            let width = self.from_image.iter().map(|origin| origin.key.len()).max();
            let width = width.unwrap_or_default().max(18);
            for origin in &self.from_image {
                writeln!(out, "  {:<width$} {}:{}", origin.key, origin.text, origin.line)?;
            }
        }
        Ok(())
    }

    fn write_aws(&self, out: &mut String) -> fmt::Result {
        let calls = self.aws_calls();
        if calls.is_empty() {
            return writeln!(out, "\nAWS calls: none; the instance's role needs no permission");
        }
        writeln!(
            out,
            "\nAWS calls of a first boot (`--iam` prints the policy that allows them)"
        )?;
        for call in calls {
            writeln!(
                out,
                "  {:<18} {} on {} to {}",
                call.action,
                times(call.times),
                call.resource,
                call.why
            )?;
        }
        Ok(())
    }

    /// The plan for programs.
    pub fn to_json(&self) -> Value {
        let all = self.steps(&Then::Create);
        let steps: Vec<Value> = all
            .iter()
            .map(|step| {
                json!({
                    "id": step.id(),
                    "after": after(&all, step.id()),
                    "deadline_seconds": self.deadline(step).as_secs(),
                    "does": self.does(step),
                })
            })
            .collect();
        let secrets: Vec<Value> = self
            .every_use()
            .iter()
            .map(|one| {
                let names: Vec<&str> = one.uses.iter().map(|(name, _)| name.as_str()).collect();
                json!({ "source": source_text(&one.source), "used_by": names })
            })
            .collect();
        let verdicts: serde_json::Map<String, Value> = self
            .verdicts
            .rows()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        json!({
            "application": self.application,
            "facts": self.facts,
            "boot_budget_seconds": self.budget.as_secs(),
            "steps": steps,
            "container": self.container.to_json(),
            "secrets": secrets,
            "file_sets": self.sets.iter().map(FileSet::to_json).collect::<Vec<_>>(),
            "registry_credentials_for": self.registry_auth.as_ref().map(|auth| &auth.registry),
            "registry_mirrors": self.mirrors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "registry_login": self.registry_auth.as_ref().map(|auth| auth.login.kind()),
            "trust": trust_json(&self.trust),
            "verdicts": verdicts,
            "gate": self.gate,
            "restart": self.restart.to_string(),
            "lifecycle": self.lifecycle_json(),
            "redact_secrets": self.redact_secrets,
            "machine": self.machine,
            "extras": self.extras,
            "logs": self.logs.to_json(),
            "audit": self.audit_json(),
            "opt_outs": self.opt_outs(),
            "aws_calls": self.aws_calls(),
            "iam_policy": self.iam_policy(),
            "storage": self.storage_json(),
            "from_image": self.from_image,
            "warnings": self.warnings.iter().map(problem_json).collect::<Vec<_>>(),
            "refused": self.refused.iter().map(problem_json).collect::<Vec<_>>(),
        })
    }
}

impl Plan {
    /// How long a step may take: the gate has a time of its own, everything shares the boot budget.
    fn deadline(&self, step: &Step) -> std::time::Duration {
        match step {
            Step::AwaitHealth(gate) => gate.timeout().min(self.budget),
            Step::AwaitBalancers(balancers) => balancers.timeout().min(self.budget),
            Step::Prepare(_)
            | Step::FetchSecrets { .. }
            | Step::ObtainImage(_)
            | Step::EnsureContainer(_)
            | Step::CompleteLaunchHook(_)
            | Step::Signal(_)
            | Step::NotifyReady => self.budget,
        }
    }

    /// What only the engine can tell is left open in a plan.
    fn does(&self, step: &Step) -> String {
        match (step, &self.registry_auth) {
            (Step::EnsureContainer(_), _) => {
                format!(
                    "adopt {NAME} if it is the right one; else remove what is there, {step}: exactly one container"
                )
            }
            (Step::ObtainImage(_), auth) => {
                let mut text = step.to_string();
                // Writing to a String cannot fail.
                let _ok = self.write_registries(&mut text, auth.as_ref()).is_ok();
                text
            }
            (step, _) => step.to_string(),
        }
    }
}

impl FileSet {
    fn to_json(&self) -> Value {
        json!({
            "set": self.name,
            "at": self.name.target(),
            "interval_seconds": self.interval_seconds,
            "on_change": self.on_change,
            "max_age_seconds": self.max_age_seconds,
            "copy_kept": self.keep,
        })
    }
}

/// Whose call it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kms,
    Parameter,
    SecretsManager,
}

impl Kind {
    const fn of(source: &Source) -> Self {
        match source {
            Source::Kms { .. } => Self::Kms,
            Source::Parameter { .. } => Self::Parameter,
            Source::SecretsManager { .. } => Self::SecretsManager,
        }
    }
}

/// `decrypt 2 values through KMS for ..., fetch 1 parameter for ...`.
fn write_fetched(f: &mut fmt::Formatter<'_>, uses: &[SecretUse], mint_bucket: Option<&str>) -> fmt::Result {
    let mut before = "";
    for (verb, noun, through, kind) in [
        ("decrypt", "value", " through KMS", Kind::Kms),
        ("fetch", "parameter", "", Kind::Parameter),
        ("fetch", "secret", " of Secrets Manager", Kind::SecretsManager),
    ] {
        let of_kind: Vec<&SecretUse> = uses.iter().filter(|one| Kind::of(&one.source) == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let names: Vec<String> = of_kind.iter().map(|one| one.used_by()).collect();
        let count = text::count(of_kind.len() as u64, noun);
        write!(f, "{before}{verb} {count}{through} for {}", names.join(", "))?;
        before = "; ";
    }
    match mint_bucket {
        Some(bucket) => write!(
            f,
            "{before}copy the application's credentials out of the bucket {bucket}"
        ),
        None if before.is_empty() => f.write_str("nothing to decrypt"),
        None => Ok(()),
    }
}

impl Plan {
    /// Who is asked for the image, and with whose login.
    fn write_registries(&self, out: &mut String, auth: Option<&RegistryAuth>) -> fmt::Result {
        if !self.mirrors.is_empty() {
            let mirrors: Vec<String> = self.mirrors.iter().map(ToString::to_string).collect();
            write!(
                out,
                ", from {} or the registry itself, whoever has it first",
                mirrors.join(", ")
            )?;
            if !self.mirrors_may_resolve() && self.container.image.digest().is_none() {
                out.push_str(", the registry alone saying which image the tag means");
            }
        }
        let logins: Vec<String> = auth
            .into_iter()
            .chain(&self.mirror_auths)
            .map(|auth| format!("{} for {}", auth.login, auth.registry))
            .collect();
        if !logins.is_empty() {
            write!(out, ", with {}", logins.join(", "))?;
        }
        Ok(())
    }
}

fn write_problems(out: &mut String, problems: &[Problem], what: &str) -> fmt::Result {
    if problems.is_empty() {
        return Ok(());
    }
    let heading = match (problems.len(), what.split_once(' ')) {
        (1, _) | (_, None) => text::count(problems.len() as u64, what),
        (number, Some((noun, rest))) => format!("{} {rest}", text::count(number as u64, noun)),
    };
    writeln!(out, "\n{heading}; `monopod validate` shows where")?;
    for problem in problems {
        writeln!(out, "  {} {}", problem.code, problem.message)?;
    }
    Ok(())
}

fn problem_json(problem: &Problem) -> Value {
    json!({
        "code": problem.code.to_string(),
        "line": problem.place.as_ref().map(|place| place.line),
        "column": problem.place.as_ref().map(|place| place.column),
        "key": problem.key,
        "message": problem.message,
        "help": problem.help,
    })
}

fn trust_rows(trust: &Trust) -> [(&'static str, String); 2] {
    let rule = trust.rule.as_ref();
    let rule = rule.map_or_else(
        || "none: the policy of the machine's image has no `images`".to_owned(),
        ToString::to_string,
    );
    [("has to prove", trust.requirement.to_string()), ("rule", rule)]
}

fn trust_json(trust: &Trust) -> Value {
    let keys: Vec<Value> = match &trust.requirement {
        Requirement::Signature(keys) => keys
            .iter()
            .map(|key| {
                json!({
                    "file": key.file,
                    "sha256": key.key.fingerprint(),
                    "not_after": key.not_after.map(|day| day.to_string()),
                })
            })
            .collect(),
        Requirement::Nothing | Requirement::Digest | Requirement::Header => Vec::new(),
    };
    json!({
        "require": trust.requirement.word(),
        "keys": keys,
        "rule": trust.rule.as_ref().map(|rule| json!({
            "match": rule.pattern,
            "file": rule.file,
            "line": rule.line,
        })),
    })
}

fn times(number: usize) -> String {
    match number {
        0 => "as needed".to_owned(),
        1 => "once".to_owned(),
        number => format!("{number} times"),
    }
}
