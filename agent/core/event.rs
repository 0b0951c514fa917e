//! What happens, as values: the executor and the supervisor tell, the reporters (journal, systemd,
//! boot record) listen. Nothing is reported any other way, so no reporter can miss a failure.
//!
//! Texts in events may quote engines and services; they pass the redactor before anybody hears them.

use std::time::Duration;

use crate::lifecycle::DrainPhase;
use crate::notice::Notice;
use crate::plan::StepId;
use crate::record::SetRecord;
use crate::supervise::Exit;
use crate::trace::{Trace, Verdict};

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
        /// Whether people should hear of it; the record counts each.
        news: bool,
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
    /// What was verified of the image that will run.
    ImageTrusted {
        /// `signature by team.pub`.
        what: String,
    },
    /// Where what runs comes from, and what follows from that.
    Traced {
        /// Where from.
        trace: Box<Trace>,
        /// What follows, but for what is ignored.
        verdicts: Vec<Verdict>,
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
    /// How a set of files stands.
    FileSet {
        /// As the status shows it.
        set: Box<SetRecord>,
        /// What is new about it, as one sentence; empty where nothing is.
        news: String,
    },
    /// What made the machine degraded is over.
    Recovered {
        /// One sentence.
        text: String,
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
    /// The probes say something else than before.
    Health {
        /// What they say now.
        healthy: bool,
        /// The last answer, and what follows from it.
        text: String,
    },
    /// Another cause to leave, or another step on the way out.
    Draining {
        /// Which step: `leave`, `stop`, `flush`, `hook`.
        phase: DrainPhase,
        /// Why, or how far it is.
        text: String,
    },
    /// The container is stopped and the lines are out: the machine can go.
    Drained {
        /// One sentence.
        text: String,
    },
    /// The machine waits in a warm pool, ready to start.
    Warm {
        /// One sentence.
        text: String,
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
    /// Somebody should hear of this as it happens, here and elsewhere.
    Notice(Box<Notice>),
}

impl Event {
    /// Changes every text in it. Each field of each variant is named here, so that a new one has to
    /// say whether it holds a text: what is not changed here is not redacted.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        match self {
            Self::StepStarted { step: _, does: text }
            | Self::StepProgress { step: _, text }
            | Self::Retrying {
                step: _,
                error: text,
                failures: _,
                wait: _,
                news: _,
            }
            | Self::StepDone {
                step: _,
                detail: text,
                took: _,
            }
            | Self::StepSkipped { step: _, why: text }
            | Self::StepFailed {
                step: _,
                error: text,
                took: _,
            }
            | Self::Warning { text }
            | Self::ImageTrusted { what: text }
            | Self::EngineLost { error: text }
            | Self::Recovered { text }
            | Self::Health { healthy: _, text }
            | Self::Draining { phase: _, text }
            | Self::Drained { text }
            | Self::Warm { text }
            | Self::Ready { text }
            | Self::Degraded { reason: text }
            | Self::BootFailed {
                reason: text,
                exit_code: _,
            } => change(text),
            Self::Container(ContainerSeen {
                id,
                image,
                digest,
                started_at: _,
                adopted: _,
            }) => {
                change(id);
                change(image);
                change(digest);
            }
            Self::Traced { trace, verdicts } => {
                trace.each_text(&mut change);
                for verdict in verdicts {
                    verdict.each_text(&mut change);
                }
            }
            Self::FileSet { set, news } => {
                set.each_text(&mut change);
                change(news);
            }
            Self::Notice(notice) => notice.each_text(change),
            Self::ContainerEnded { exit } | Self::Completed { exit } => {
                let Exit {
                    code: _,
                    out_of_memory: _,
                    memory_limit: _,
                } = exit;
            }
            Self::RestartPlanned { wait: _, restart: _ }
            | Self::Restarted { restarts: _ }
            | Self::EngineBack { away: _ }
            | Self::Booting
            | Self::Stopping => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sets::SetName;
    use crate::record::FileRecord;
    use crate::trace::{Level, VerdictName};

    fn set(text: impl Fn() -> String) -> SetRecord {
        SetRecord {
            set: SetName::Secrets,
            files: vec![FileRecord {
                name: text(),
                source: text(),
            }],
            delivered_at: None,
            fetched_at: None,
            last_error: Some(text()),
            stale_since: None,
            unhealthy: false,
        }
    }

    fn traced(text: impl Fn() -> String) -> Event {
        Event::Traced {
            trace: Box::new(Trace {
                commit: Some(text()),
                ..Trace::default()
            }),
            verdicts: vec![Verdict {
                name: VerdictName::ImageTooOld,
                level: Level::Warn,
                found: text(),
                rule: None,
            }],
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "an event each, in one place")]
    fn every_text_is_reached() {
        const CANARY: &str = "canary";
        let (step, took, wait) = (StepId::Image, Duration::ZERO, Duration::ZERO);
        let canary = || CANARY.to_owned();
        let exit = Exit {
            code: 0,
            out_of_memory: false,
            memory_limit: None,
        };
        let seen = ContainerSeen {
            id: canary(),
            image: canary(),
            digest: canary(),
            started_at: None,
            adopted: true,
        };
        let events = [
            Event::StepStarted { step, does: canary() },
            Event::StepProgress { step, text: canary() },
            Event::Retrying {
                step,
                error: canary(),
                failures: 1,
                wait,
                news: true,
            },
            Event::StepDone {
                step,
                detail: canary(),
                took,
            },
            Event::StepSkipped { step, why: canary() },
            Event::StepFailed {
                step,
                error: canary(),
                took,
            },
            Event::Warning { text: canary() },
            Event::ImageTrusted { what: canary() },
            traced(canary),
            Event::Container(seen),
            Event::ContainerEnded { exit: exit.clone() },
            Event::RestartPlanned { wait, restart: 1 },
            Event::Restarted { restarts: 1 },
            Event::Completed { exit },
            Event::FileSet {
                set: Box::new(set(canary)),
                news: canary(),
            },
            Event::Recovered { text: canary() },
            Event::Health {
                healthy: false,
                text: canary(),
            },
            Event::Draining {
                phase: DrainPhase::Leave,
                text: canary(),
            },
            Event::Drained { text: canary() },
            Event::Warm { text: canary() },
            Event::EngineLost { error: canary() },
            Event::EngineBack { away: wait },
            Event::Ready { text: canary() },
            Event::Degraded { reason: canary() },
            Event::BootFailed {
                reason: canary(),
                exit_code: 1,
            },
            Event::Stopping,
        ]
        .into_iter()
        .chain(crate::notice::every_kind(CANARY).map(|what| {
            let notice = Notice {
                id: canary(),
                at: 1,
                what,
            };
            Event::Notice(Box::new(notice))
        }));
        for mut event in events {
            event.each_text(|text| text.clear());
            assert!(!format!("{event:?}").contains(CANARY), "{event:?}");
        }
    }
}
