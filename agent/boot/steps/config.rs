//! User data to a plan: pure, and instant.

use monopod_core::config;
use monopod_core::event::Event;
use monopod_core::plan::{Plan, StepId};
use monopod_core::text;
use tokio::time::Instant;

use crate::boot::BootError;
use crate::context::Context;
use crate::host::chain;
use crate::host::imds::Identity;

pub(in crate::boot) fn run(context: &Context, identity: &Identity) -> Result<Plan, BootError> {
    let begun = Instant::now();
    let step = StepId::Config;
    context.reporter.tell(Event::StepStarted {
        step,
        does: "check the user data".to_owned(),
    });
    match plan(context, identity) {
        Ok(plan) => {
            for problem in &plan.warnings {
                let place = problem
                    .place
                    .map_or_else(String::new, |place| format!("user data:{place}: "));
                let help = problem
                    .help
                    .as_deref()
                    .map_or_else(String::new, |help| format!("; {help}"));
                let text = format!("{place}{} {}{help}", problem.code, problem.message);
                context.reporter.tell(Event::Warning { text });
            }
            let opened: Vec<&str> = plan.container.opt_outs().iter().map(|out| out.key).collect();
            let detail = format!(
                "{}, {}; opened: {}",
                plan.application,
                text::count(plan.warnings.len() as u64, "warning"),
                opened.join(", ")
            );
            context.reporter.tell(Event::StepDone {
                step,
                detail,
                took: begun.elapsed(),
            });
            Ok(plan)
        }
        Err(error) => {
            context.reporter.tell(Event::StepFailed {
                step,
                error: chain(&error),
                took: begun.elapsed(),
            });
            Err(error)
        }
    }
}

fn plan(context: &Context, identity: &Identity) -> Result<Plan, BootError> {
    let origin = context
        .sources
        .user_data
        .as_ref()
        .map_or_else(|| "user data".to_owned(), |path| path.display().to_string());
    let bytes = identity.user_data.as_deref().ok_or(BootError::NoUserData)?;
    match config::parse(bytes, &origin).into_config() {
        Ok((config, warnings)) => Ok(Plan::new(&config, warnings, Some(&identity.facts))),
        Err(problems) => {
            let errors = problems
                .iter()
                .filter(|problem| problem.severity == config::Severity::Error)
                .count();
            Err(BootError::Config {
                count: text::count(errors as u64, "error"),
                report: config::render(&problems, &origin, bytes),
                origin,
            })
        }
    }
}
