//! What happens, as values: the executor and the supervisor tell, the reporters (journal, systemd,
//! boot record) listen. Nothing is reported any other way, so no reporter can miss a failure.
//!
//! Texts in events may quote engines and services; they pass the redactor before anybody hears them.

use std::time::Duration;

use crate::plan::StepId;
use crate::supervise::Exit;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step of the boot began.
    StepStarted {
        /// Which.
        step: StepId,
        /// What it will do.
        does: String,
    },
    /// A step is still at it.
    StepProgress {
        /// Which.
        step: StepId,
        /// How far it is.
        text: String,
    },
    /// Something a step needs failed for now and will be tried again.
    Retrying {
        /// Which.
        step: StepId,
        /// What was tried and why it failed.
        error: String,
        /// How often it has failed.
        failures: u32,
        /// When it will be tried again.
        wait: Duration,
    },
    /// A step is done.
    StepDone {
        /// Which.
        step: StepId,
        /// What came of it.
        detail: String,
        /// How long it took.
        took: Duration,
    },
    /// A step was not needed.
    StepSkipped {
        /// Which.
        step: StepId,
        /// Why not.
        why: String,
    },
    /// A step failed for good.
    StepFailed {
        /// Which.
        step: StepId,
        /// What was tried, on what, why it failed, what to do.
        error: String,
        /// How long it took.
        took: Duration,
    },
    /// No data lost, but somebody should look soon.
    Warning {
        /// One sentence.
        text: String,
    },
    /// Which container it is now.
    Container(ContainerSeen),
    /// The container ended.
    ContainerEnded {
        /// How.
        exit: Exit,
    },
    /// It will be started again.
    RestartPlanned {
        /// After this wait.
        wait: Duration,
        /// Which restart this is.
        restart: u64,
    },
    /// It was started again.
    Restarted {
        /// Restarts by this agent so far.
        restarts: u64,
    },
    /// It ended and stays ended, as its policy says.
    Completed {
        /// How.
        exit: Exit,
    },
    /// The engine stopped answering.
    EngineLost {
        /// What it said last.
        error: String,
    },
    /// The engine answers again.
    EngineBack {
        /// How long it was away.
        away: Duration,
    },
    /// The machine does not count as up any more: its container is gone and another is made.
    Booting,
    /// The machine counts as up.
    Ready {
        /// One sentence for `systemctl status`.
        text: String,
    },
    /// The agent stays, but the machine does not count as up, or its container failed.
    Degraded {
        /// What is wrong and what to do.
        reason: String,
    },
    /// The boot ended in an error that ends the agent.
    BootFailed {
        /// The whole chain of causes, and what to do.
        reason: String,
        /// What the agent will exit with.
        exit_code: u8,
    },
    /// The agent was asked to stop; the container stays.
    Stopping,
}

/// Which container is looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSeen {
    /// Its id.
    pub id: String,
    /// The image as the user wrote it.
    pub image: String,
    /// The digest that runs.
    pub digest: String,
    /// When it was started, in milliseconds since the epoch.
    pub started_at: Option<u64>,
    /// It was there before this agent.
    pub adopted: bool,
}
