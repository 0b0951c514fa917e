//! What happens on the machine, told as it happens, here and to whom `events` names.
//!
//! ```text
//! engine's events ─► engine ─┐                        ┌─► journal, metrics
//! access record ───► access ─┼─► Event::Notice ─► report ─► audit (RUNTIME_EVENT)
//! /etc/monopod ────► files ──┤                        └─► queue on disk ─► lane: webhook
//! record ──────────► boot ───┘                        └─► queue on disk ─► lane: EventBridge
//! ```
//!
//! Design: each follower waits for its events and asks nothing in between, so that an idle machine stays idle. What was
//! told of this boot is kept in the runtime directory ([`known`]). A notice is on the disk, once for each receiver,
//! before it is sent ([`queue`]), and goes from there when the receiver has said yes ([`lane`]).
//!
//! Invariants
//! - No boot waits for it, and none ends with it.
//! - At least once: a kill between the yes and the removal, or between telling and noting, tells once more, under the
//!   same id.
//! - No secret: a notice has passed the redactor before it is kept; headers are fetched when they are first needed, and
//!   kept in memory alone.

mod access;
mod boot;
mod engine;
mod files;
mod known;
mod lane;
mod queue;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::notice::{EventsPlan, Notice, Origin};
use monopod_core::plan::Application;
use monopod_core::secret::Secret;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::context::Context;
use crate::host::AskError;
use crate::host::event_bus::EventBus;
use crate::host::files::FileError;
use crate::host::webhook::Webhook;
use crate::report::Reporter;
use crate::report::figures::Receiver;
pub use boot::note_boot;
pub use known::Known;
use lane::{Hook, Lane, Way};
use queue::Queue;

/// Fetches the headers of the webhook each time it is called; the redactor knows them then.
pub type AskHeaders =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<(String, Secret)>, AskError>> + Send + Sync>;

/// What it needs to push.
pub struct Options {
    /// Where to.
    pub plan: EventsPlan,
    /// From which machine.
    pub facts: InstanceFacts,
    /// Who runs there, as far as that is known.
    pub application: Option<Application>,
    /// Where the queues lie.
    pub directory: PathBuf,
    /// Fetched when the first one is sent.
    pub headers: AskHeaders,
    /// Who tells, and hears what does not work.
    pub reporter: Reporter,
}

/// The way out, from outside. It ends with this.
pub struct Push {
    plan: EventsPlan,
    lanes: Vec<Arc<Lane>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Push {
    /// Starts it; only its directories can fail. What was told before goes, too.
    pub fn start(options: Options) -> Result<Self, FileError> {
        let plan = options.plan;
        let (mut lanes, mut tasks) = (Vec::new(), Vec::new());
        let open = |receiver: Receiver| -> Result<Arc<Lane>, FileError> {
            let directory = options.directory.join(receiver.name());
            let queue = Queue::open(directory, &options.facts.instance_id)?;
            Ok(Arc::new(Lane::new(receiver, queue, options.reporter.clone())))
        };
        if let Some(url) = &plan.webhook {
            let lane = open(Receiver::Webhook)?;
            let hook = Hook::new(Webhook::new(url), options.headers);
            tasks.push(tokio::spawn(Arc::clone(&lane).run(Way::Webhook(hook))));
            lanes.push(lane);
        }
        if let Some(bus) = plan.event_bus.clone() {
            let lane = open(Receiver::EventBus)?;
            let region = plan.bus_region().unwrap_or(&options.facts.region).to_owned();
            let task = {
                let lane = Arc::clone(&lane);
                async move {
                    let way = EventBus::new(&region, &bus).await;
                    lane.run(Way::Bus(Box::new(way), bus)).await;
                }
            };
            tasks.push(tokio::spawn(task));
            lanes.push(lane);
        }
        let origin = Origin {
            facts: Some(options.facts),
            application: options.application,
        };
        let takers = lanes.clone();
        options.reporter.hand_notices(
            "push",
            Box::new(move |notice: &Notice| {
                let json = notice.to_json(&origin);
                for lane in &takers {
                    lane.keep(notice, &json);
                }
            }),
        );
        Ok(Self { plan, lanes, tasks })
    }

    /// What it was started with.
    pub fn plan(&self) -> &EventsPlan {
        &self.plan
    }

    /// Sends what waits, as far as it is taken before the deadline; the rest stays on the disk.
    pub async fn flush(&self, deadline: Instant) {
        let all = join_all(self.lanes.iter().map(|lane| lane.flushed()));
        let _late = tokio::time::timeout_at(deadline, all).await.is_err();
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Follows everything there is to follow, as long as the agent lives.
pub async fn watch(context: &Context) -> Infallible {
    let ((), (), (), never) = tokio::join!(
        access::follow(context),
        files::follow(context),
        boot::follow(context),
        engine::follow(context)
    );
    never
}

fn tell(context: &Context, notice: Notice) {
    context.reporter.tell(Event::Notice(Box::new(notice)));
}
