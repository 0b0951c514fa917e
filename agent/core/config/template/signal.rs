//! Whether CloudFormation waits as long as monopod tries.
//!
//! A group with a `CreationPolicy` gives up when its signal has not come in time, five minutes if it doesn't say.
//! If that is before monopod's own budget ends, the stack fails with no reason: ours would have come later.

use std::time::Duration;

use super::super::problem::{Code, Place, Problem};
use super::super::yaml::{Kind, Node};
use super::cloudformation::Resource;
use super::intrinsic::Argument;
use super::{Template, child};
use crate::{budget, text};

/// CloudFormation's own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Warns about every group that gives up before the machines with this user data do; `signalled` are the launch
/// templates, launch configurations and instances whose user data asks for a signal.
pub(super) fn check(resources: &[Resource<'_>], signalled: &[&str], template: &mut Template) {
    let budgets = template.found.iter().map(|found| found.report.boot_timeout());
    let budget = budgets.max().unwrap_or(budget::DEFAULT);
    for resource in resources {
        let own = signalled.contains(&resource.name);
        let group = resource.kind == "AWS::AutoScaling::AutoScalingGroup"
            && child(resource.body, "Properties").is_some_and(|properties| refers(properties, signalled));
        let Some(policy) = child(resource.body, "CreationPolicy")
            .and_then(|policy| child(policy, "ResourceSignal"))
            .filter(|_| own || group)
        else {
            continue;
        };
        let (timeout, place) = match child(policy, "Timeout") {
            None => (Some(DEFAULT_TIMEOUT), policy.place),
            Some(node) => (Argument::of(node).word().and_then(iso_8601), node.place),
        };
        let path = format!("Resources.{}.CreationPolicy.ResourceSignal", resource.name);
        template.add(
            timeout
                .and_then(|timeout| too_short(budget, timeout))
                .map(|problem| with_default(problem, child(policy, "Timeout").is_none()))
                .map(|problem| problem.at(place).key(format!("{path}.Timeout"))),
        );
    }
}

fn with_default(problem: Problem, implied: bool) -> Problem {
    if implied {
        Problem {
            message: format!("{}; it is the default where none is written", problem.message),
            ..problem
        }
    } else {
        problem
    }
}

/// A warning if whoever waits for the signal gives up no later than a machine that boots with this budget.
pub(super) fn too_short(budget: Duration, timeout: Duration) -> Option<Problem> {
    if budget < timeout {
        return None;
    }
    let message = format!(
        "CloudFormation waits {} for the signal, and monopod may take {} to boot: a failure would have no reason",
        text::duration(timeout),
        text::duration(budget)
    );
    let minutes = budget.as_secs().div_ceil(60) + 5;
    Some(Problem::warning(Code::SignalTimeout, message).help(format!(
        "give the signal {minutes} minutes (PT{minutes}M, in Senza `SuccessRequires: 1 within {minutes}m`)"
    )))
}

/// Whether one of the names is referred to.
fn refers(node: &Node, names: &[&str]) -> bool {
    refers_in(Argument::of(node), names)
}

fn refers_in(argument: Argument<'_>, names: &[&str]) -> bool {
    let is_named = |word: &str| names.contains(&word.split('.').next().unwrap_or(word));
    if let Some(call) = argument.call() {
        let named = match call.name.as_str() {
            "Ref" => call.argument.word().is_some_and(is_named),
            "Fn::GetAtt" => match call.argument.items() {
                Some(items) => items
                    .first()
                    .and_then(|first| Argument::of(first).word())
                    .is_some_and(is_named),
                None => call.argument.word().is_some_and(is_named),
            },
            _ => false,
        };
        return named || refers_in(call.argument, names);
    }
    match &argument.node.kind {
        Kind::Seq(nodes) => nodes.iter().any(|node| refers(node, names)),
        Kind::Map(entries) => entries.iter().any(|entry| refers(&entry.value, names)),
        Kind::Scalar(_) | Kind::Broken | Kind::Hole => false,
    }
}

/// `PT15M`, `PT1H30M`, `P1DT2H`.
pub(super) fn iso_8601(text: &str) -> Option<Duration> {
    let (days, time) = match text.trim().strip_prefix('P')?.split_once('T') {
        Some((days, time)) => (days, time),
        None => (text.trim().strip_prefix('P')?, ""),
    };
    let mut seconds = 0_u64;
    for (part, units) in [
        (days, &[('D', 86_400)][..]),
        (time, &[('H', 3600), ('M', 60), ('S', 1)]),
    ] {
        let mut number = String::new();
        for c in part.chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let (_, unit) = units.iter().find(|(name, _)| *name == c)?;
            let value: u64 = number.parse().ok()?;
            seconds = seconds.checked_add(value.checked_mul(*unit)?)?;
            number.clear();
        }
        if !number.is_empty() {
            return None;
        }
    }
    Some(Duration::from_secs(seconds))
}

/// What Senza's `SuccessRequires` asks for: `2 within 20m`; without a time it is 15 minutes.
pub(super) fn senza(requires: &str) -> Option<Duration> {
    let Some((_, time)) = requires.split_once("within") else {
        return Some(Duration::from_secs(15 * 60));
    };
    let time = time.trim();
    if time.starts_with('P') {
        return iso_8601(time);
    }
    let end = time.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = time.split_at_checked(end)?;
    let unit = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(
        number.parse::<u64>().ok()?.checked_mul(unit)?,
    ))
}

/// The warning for a Senza group, at the place that says how long it waits.
pub(super) fn senza_group(
    budget: Duration,
    timeout: Option<Duration>,
    place: Place,
    key: &str,
) -> Option<Problem> {
    too_short(budget, timeout?).map(|problem| problem.at(place).key(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_has_to_come_before_cloudformation_gives_up() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        for (budget, timeout, warned) in [(15, 5, true), (15, 15, true), (15, 16, false), (4, 5, false)] {
            let problem = too_short(minutes(budget), minutes(timeout));
            assert_eq!(problem.is_some(), warned, "{budget} {timeout}");
        }
        let problem = too_short(minutes(15), minutes(5)).unwrap();
        assert!(problem.message.contains("waits 5 min") && problem.message.contains("take 15 min"));
        assert!(problem.help.unwrap().contains("PT20M"));
    }

    #[test]
    fn times_as_they_are_written() {
        for (text, seconds) in [
            ("PT15M", Some(900)),
            ("PT1H30M", Some(5400)),
            ("P1DT2S", Some(86_402)),
            ("P1D", Some(86_400)),
            ("PT", Some(0)),
            ("15M", None),
            ("PT15", None),
            ("P15M", None),
            ("PTM", None),
            ("PT99999999999999999999S", None),
        ] {
            assert_eq!(iso_8601(text).map(|time| time.as_secs()), seconds, "{text}");
        }
        for (text, seconds) in [
            ("1", Some(900)),
            ("4 within 30m", Some(1800)),
            ("1 within 1h", Some(3600)),
            ("1 within PT2M", Some(120)),
            ("1 within soon", None),
        ] {
            assert_eq!(senza(text).map(|time| time.as_secs()), seconds, "{text}");
        }
    }
}
