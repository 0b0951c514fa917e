//! User data to a plan: pure, and instant, once the texts are here.

use monopod_core::config::{self, Severity, Text};
use monopod_core::event::Event;
use monopod_core::plan::{Plan, StepId};
use monopod_core::text;

use tokio::time::Instant;

use super::include::{self, UserData};
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::image_layer::ImageFiles;
use crate::host::imds::Identity;

pub(in crate::boot) async fn run(
    context: &Context,
    identity: &Identity,
    deadline: Instant,
) -> Result<Plan, BootError> {
    timed(context, StepId::Config, "check the user data".to_owned(), async {
        let image = ImageFiles::read(&context.directories.configuration).map_err(BootError::ImageFiles)?;
        let user_data = include::resolve(context, identity, deadline).await?;
        let (plan, warnings) = plan(context, &user_data, &image, identity)?;
        for text in warnings {
            context.reporter.tell(Event::Warning { text });
        }
        let mut opened: Vec<&str> = plan.opt_outs().iter().map(|out| out.key).collect();
        // Two things that one key opens are two rows in the plan, and one word here.
        opened.sort_unstable();
        opened.dedup();
        let from = user_data
            .from
            .map_or_else(String::new, |from| format!("{from}: "));
        let layers = match image.names().as_slice() {
            [] => String::new(),
            names => format!(" over {}", names.join(", ")),
        };
        let detail = format!(
            "{from}{}{layers}, {}; opened: {}",
            plan.application,
            text::count(plan.warnings.len() as u64, "warning"),
            opened.join(", ")
        );
        Ok((plan, detail))
    })
    .await
}

/// The plan, and its warnings as lines.
fn plan(
    context: &Context,
    user_data: &UserData<'_>,
    image: &ImageFiles,
    identity: &Identity,
) -> Result<(Plan, Vec<String>), BootError> {
    let report = config::read(
        Text {
            name: &user_data.origin,
            bytes: &user_data.bytes,
        },
        &image.layer(),
    );
    let Some(config) = report.config() else {
        // A stack waits for this machine, whatever else is wrong with the text.
        context.learn_life(|life| life.plan.signal = report.notify_cfn().cloned());
        return Err(BootError::Config {
            count: text::count(report.count(Severity::Error), "error"),
            report: report.render(config::Style::Plain),
            origin: user_data.origin.clone(),
        });
    };
    // Room is what an included text has.
    let matters =
        |problem: &&config::Problem| user_data.from.is_none() || problem.code != config::Code::OverEc2Limit;
    let warnings: Vec<config::Problem> = report.problems().iter().filter(matters).cloned().collect();
    let lines = warnings.iter().map(|problem| report.one_line(problem)).collect();
    Ok((Plan::new(config, warnings, Some(&identity.facts)), lines))
}
