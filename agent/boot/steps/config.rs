//! User data to a plan: pure, and instant, once the text is here.

use monopod_core::config;
use monopod_core::event::Event;
use monopod_core::plan::{Plan, StepId};
use monopod_core::text;

use tokio::time::Instant;

use super::include::{self, UserData};
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::imds::Identity;

pub(in crate::boot) async fn run(
    context: &Context,
    identity: &Identity,
    deadline: Instant,
) -> Result<Plan, BootError> {
    timed(context, StepId::Config, "check the user data".to_owned(), async {
        let user_data = include::resolve(context, identity, deadline).await?;
        let plan = plan(&user_data, identity)?;
        for problem in &plan.warnings {
            context.reporter.tell(Event::Warning {
                text: on_one_line(&user_data.origin, problem),
            });
        }
        let mut opened: Vec<&str> = plan.container.opt_outs().iter().map(|out| out.key).collect();
        // Two things that one key opens are two rows in the plan, and one word here.
        opened.sort_unstable();
        opened.dedup();
        let from = user_data
            .from
            .map_or_else(String::new, |from| format!("{from}: "));
        let detail = format!(
            "{from}{}, {}; opened: {}",
            plan.application,
            text::count(plan.warnings.len() as u64, "warning"),
            opened.join(", ")
        );
        Ok((plan, detail))
    })
    .await
}

/// `user data:7:1: MP0201 nobody knows the key ...; did you mean ...?`
fn on_one_line(origin: &str, problem: &config::Problem) -> String {
    let place = problem
        .place
        .map_or_else(String::new, |place| format!("{origin}:{place}: "));
    let help = problem
        .help
        .as_deref()
        .map_or_else(String::new, |help| format!("; {help}"));
    format!("{place}{} {}{help}", problem.code, problem.message)
}

fn plan(user_data: &UserData<'_>, identity: &Identity) -> Result<Plan, BootError> {
    let origin = user_data.origin.clone();
    match config::parse(&user_data.bytes, &origin).into_config() {
        Ok((config, mut warnings)) => {
            // Room is what an included text has.
            warnings.retain(|problem| user_data.from.is_none() || problem.code != config::Code::OverEc2Limit);
            Ok(Plan::new(&config, warnings, Some(&identity.facts)))
        }
        Err(problems) => {
            let errors = problems
                .iter()
                .filter(|problem| problem.severity == config::Severity::Error)
                .count();
            Err(BootError::Config {
                count: text::count(errors as u64, "error"),
                report: config::render(&problems, &origin, &user_data.bytes),
                origin,
            })
        }
    }
}
