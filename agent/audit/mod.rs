//! Audit records on their way to `instance_logs_url`: the masked user data, how the boot went, the machine's audit log.
//!
//! ```text
//! events ─► record, notice (files)─┐
//! marks of this boot: USER_DATA ──┼─► courier: one task, one POST at a time ─► receiver
//! /var/log/audit.log.*.gz ────────┘
//! ```
//!
//! Design: whatever is not taken yet is found again on the disk at each round ([`marks`], [`logs`]), so the task keeps no
//! queue, and neither a kill nor a reboot loses anything. A round that fails waits, with all that is behind it.
//!
//! Invariants
//! - No boot waits for it, and none ends with it: it is a task of its own, and its failures are warnings, each told once.
//! - Only 201 is a yes. What is refused for good is kept and told; the next agent tries it again, and what was
//!   refused for its login goes as soon as another login works.
//! - At least once: a kill, or an answer that is lost, between the receiver's yes and our note of it sends one payload
//!   again.
//! - No secret: what is sent is masked by the contract and passes the redactor. The password is fetched when it is first
//!   needed, and kept in memory alone. The audit log is sent as the kernel wrote it.

mod courier;
mod keeper;
mod logs;
mod marks;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use monopod_core::audit::{AuditOrders, Sender};
use monopod_core::facts::InstanceFacts;
use monopod_core::notice::Origin;
use monopod_core::retry::Backoff;
use monopod_core::secret::Secret;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::host::files::FileError;
use crate::host::{AskError, clock, limits};
use crate::report::Reporter;
use courier::Courier;
use keeper::Keeper;
use marks::Marks;

/// The receiver of many machines: 1, 2, 4 ... 300 s.
const AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(300),
};
/// Machines rotate their logs in the same minute: each sends a little later than the others.
const SPREAD: Duration = Duration::from_secs(10);

/// Asks for something each time it is called.
pub type Ask<T> = Arc<dyn Fn() -> BoxFuture<'static, Result<T, AskError>> + Send + Sync>;

/// What the courier asks for when it needs it.
#[derive(Clone)]
pub struct Asks {
    /// The password; the redactor knows it already.
    pub password: Ask<Secret>,
    /// The masked user data.
    pub user_data: Ask<serde_json::Value>,
}

/// What it needs to begin.
pub struct Options {
    /// What goes where.
    pub orders: AuditOrders,
    /// From which machine.
    pub facts: InstanceFacts,
    /// In which boot of it.
    pub boot_id: String,
    /// Where marks and waiting records lie.
    pub directory: PathBuf,
    /// Where `audit.log` is.
    pub logs: PathBuf,
    /// What is asked for later.
    pub asks: Asks,
    /// Who knows how the boot goes, and hears what does not work.
    pub reporter: Reporter,
}

/// Whether the machine's live audit log is sent, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// The machine goes on.
    Stays,
    /// The machine goes down.
    Sent,
}

struct Flush {
    deadline: Instant,
    live: Live,
    done: oneshot::Sender<()>,
}

/// The courier, from outside. It ends with this.
pub struct Audit {
    orders: AuditOrders,
    flushes: mpsc::Sender<Flush>,
    task: JoinHandle<()>,
}

impl Audit {
    /// Starts it; only its directory can fail.
    pub fn start(options: Options) -> Result<Self, FileError> {
        let booted_at = limits::machine_start(clock::now_millis()) / 1000;
        let marks = Marks::open(
            options.directory.clone(),
            &options.facts.instance_id,
            &options.boot_id,
            booted_at,
        )?;
        let (flushes, received) = mpsc::channel(1);
        let orders = options.orders.clone();
        let sender = Sender::new(&options.facts, marks.booted_at());
        let reporter = options.reporter.clone();
        let keeper = Arc::new(Keeper::new(sender, orders.clone(), options.reporter, marks));
        let origin = Origin {
            application: reporter.snapshot().application,
            facts: Some(options.facts),
        };
        let hears = Arc::clone(&keeper);
        reporter.hand_notices("audit", Box::new(move |notice| hears.hear(notice, &origin)));
        let courier = Courier::new(keeper, options.logs, options.asks);
        let task = tokio::spawn(courier.run(received));
        Ok(Self {
            orders,
            flushes,
            task,
        })
    }

    /// What it was started with.
    pub fn orders(&self) -> &AuditOrders {
        &self.orders
    }

    /// Sends what waits, as far as it is taken before the deadline; the rest stays on the disk.
    pub async fn flush(&self, deadline: Instant, live: Live) {
        let (done, finished) = oneshot::channel();
        let flush = Flush { deadline, live, done };
        let flushed = async {
            if self.flushes.send(flush).await.is_ok() {
                let _task_gone = finished.await.is_err();
            }
        };
        let _late = tokio::time::timeout_at(deadline, flushed).await.is_err();
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.task.abort();
    }
}
