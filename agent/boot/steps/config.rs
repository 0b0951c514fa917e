//! User data to a plan: pure, and instant.

use monopod_core::config;
use monopod_core::event::Event;
use monopod_core::plan::{Plan, StepId};
use monopod_core::text;

use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::imds::Identity;

pub(in crate::boot) async fn run(context: &Context, identity: &Identity) -> Result<Plan, BootError> {
    timed(context, StepId::Config, "check the user data".to_owned(), async {
        let plan = plan(context, identity)?;
        for problem in &plan.warnings {
            context.reporter.tell(Event::Warning {
                text: on_one_line(problem),
            });
        }
        let mut opened: Vec<&str> = plan.container.opt_outs().iter().map(|out| out.key).collect();
        // Two things that one key opens are two rows in the plan, and one word here.
        opened.sort_unstable();
        opened.dedup();
        let detail = format!(
            "{}, {}; opened: {}",
            plan.application,
            text::count(plan.warnings.len() as u64, "warning"),
            opened.join(", ")
        );
        Ok((plan, detail))
    })
    .await
}

/// `user data:7:1: MP0201 nobody knows the key ...; did you mean ...?`
fn on_one_line(problem: &config::Problem) -> String {
    let place = problem
        .place
        .map_or_else(String::new, |place| format!("user data:{place}: "));
    let help = problem
        .help
        .as_deref()
        .map_or_else(String::new, |help| format!("; {help}"));
    format!("{place}{} {}{help}", problem.code, problem.message)
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
