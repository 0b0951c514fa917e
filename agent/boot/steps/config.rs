//! User data to a plan: pure, and instant, once the texts are here.

use std::collections::BTreeSet;

use monopod_core::audit::AuditOrders;
use monopod_core::config::{self, Severity, Text};
use monopod_core::event::Event;
use monopod_core::notice::EventsPlan;
use monopod_core::otlp::OtlpPlan;
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
        match read(context, identity, deadline).await {
            Ok(read) => {
                for text in read.warnings {
                    context.reporter.tell(Event::Warning { text });
                }
                Ok((read.plan, read.detail))
            }
            Err(unreadable) => {
                // How this boot ends is told, too.
                if let Some(audit) = &unreadable.audit {
                    context.ensure_audit(audit.as_ref(), &identity.facts).await;
                    let events = unreadable.events.as_ref();
                    context.ensure_events(events, &identity.facts, None).await;
                }
                Err(unreadable.error)
            }
        }
    })
    .await
}

/// User data that can be used.
pub(crate) struct Read {
    pub(crate) plan: Plan,
    /// Each as one line.
    pub(crate) warnings: Vec<String>,
    detail: String,
}

/// User data that cannot be used, and who has to know even so.
pub(crate) struct Unusable {
    pub(crate) error: BootError,
    /// `None` where nothing of the text was read.
    audit: Option<Option<AuditOrders>>,
    events: Option<EventsPlan>,
}

impl From<BootError> for Box<Unusable> {
    fn from(error: BootError) -> Self {
        Self::new(Unusable {
            error,
            audit: None,
            events: None,
        })
    }
}

/// From the texts to the plan; tells nobody.
pub(crate) async fn read(
    context: &Context,
    identity: &Identity,
    deadline: Instant,
) -> Result<Read, Box<Unusable>> {
    let image = ImageFiles::read(&context.directories.configuration).map_err(BootError::ImageFiles)?;
    let user_data = include::resolve(context, identity, deadline).await?;
    let (plan, warnings) = plan(context, &user_data, &image, identity)?;
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
        opened(&plan).join(", ")
    );
    Ok(Read {
        plan,
        warnings,
        detail,
    })
}

/// The keys that open what is closed by default. Two things that one key opens are two rows in the plan, and one word here.
pub(in crate::boot) fn opened(plan: &Plan) -> Vec<String> {
    let all = plan.opt_outs();
    let keys: BTreeSet<&str> = all.iter().map(|out| out.key).collect();
    keys.into_iter().map(str::to_owned).collect()
}

/// The plan, and its warnings as lines.
fn plan(
    context: &Context,
    user_data: &UserData<'_>,
    image: &ImageFiles,
    identity: &Identity,
) -> Result<(Plan, Vec<String>), Box<Unusable>> {
    let report = config::read(
        Text {
            name: &user_data.origin,
            bytes: &user_data.bytes,
        },
        &image.layer(),
    );
    let Some(config) = report.config() else {
        // A stack and a group wait for this machine, whatever else is wrong with the text.
        context.learn_life(|life| {
            life.plan = report.lifecycle();
            life.extras.otlp = OtlpPlan::new(report.otlp());
        });
        let error = BootError::Config {
            count: text::count(report.count(Severity::Error), "error"),
            report: report.render(config::Style::Plain),
            origin: user_data.origin.clone(),
        };
        let audit = Some(AuditOrders::of_unreadable(report.audit()));
        let events = EventsPlan::new(report.events());
        return Err(Box::new(Unusable { error, audit, events }));
    };
    // Room is what an included text has.
    let matters =
        |problem: &&config::Problem| user_data.from.is_none() || problem.code != config::Code::OverEc2Limit;
    let warnings: Vec<config::Problem> = report.problems().iter().filter(matters).cloned().collect();
    let lines = warnings.iter().map(|problem| report.one_line(problem)).collect();
    Ok((Plan::new(config, warnings, Some(&identity.facts)), lines))
}
