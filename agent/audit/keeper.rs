//! What is noted of this boot, for the task and for whoever interrupts it: how a boot ends is on the disk before anybody
//! is asked to take it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use monopod_core::audit::{self, AuditOrders, Sender};
use monopod_core::event::Event;
use monopod_core::notice::{Notice, Origin};
use tokio::sync::Notify;

use super::marks::{Marks, Waiting};
use crate::host::chain;
use crate::host::files::FileError;
use crate::report::Reporter;

pub(super) struct Keeper {
    pub(super) sender: Sender,
    pub(super) orders: AuditOrders,
    pub(super) reporter: Reporter,
    /// A notice waits that nobody has looked for.
    pub(super) news: Notify,
    full_told: AtomicBool,
    marks: Mutex<Marks>,
}

impl Keeper {
    pub(super) fn new(sender: Sender, orders: AuditOrders, reporter: Reporter, marks: Marks) -> Self {
        Self {
            sender,
            orders,
            reporter,
            news: Notify::new(),
            full_told: AtomicBool::new(false),
            marks: Mutex::new(marks),
        }
    }

    /// Keeps a record of how the boot ended, once for each way it can. How many had to go for it; `None` if there is
    /// nothing new.
    pub(super) fn note_outcome(&self) -> Result<Option<usize>, FileError> {
        let record = self.reporter.snapshot();
        let word = audit::outcome_word(&record.outcome);
        let mut marks = self.marks();
        if !audit::is_told(&record.outcome) || marks.is_told(word) {
            return Ok(None);
        }
        let waiting = Waiting {
            sender: self.sender.clone(),
            record: audit::boot_record(&record, &self.orders, marks.boot_id()),
        };
        marks.keep(word, &waiting).map(Some)
    }

    /// Keeps what is about security, and says that it waits.
    pub(super) fn hear(&self, notice: &Notice, origin: &Origin) {
        if !notice.what.is_security() {
            return;
        }
        let why = match self.note_notice(&notice.id, notice.to_json(origin)) {
            Ok(true) => {
                self.full_told.store(false, Ordering::Relaxed);
                return self.news.notify_one();
            }
            Ok(false) => "too many wait for it already".to_owned(),
            Err(error) => chain(&error),
        };
        if !self.full_told.swap(true, Ordering::Relaxed) {
            let text = format!("not everything that happens here is told to the audit: {why}");
            self.reporter.tell(Event::Warning { text });
        }
    }

    /// Keeps a notice until it is sent; false where too many wait already.
    pub(super) fn note_notice(&self, id: &str, notice: serde_json::Value) -> Result<bool, FileError> {
        let waiting = Waiting {
            sender: self.sender.clone(),
            record: notice,
        };
        self.marks().keep_notice(id, &waiting)
    }

    /// The notices that wait, the oldest first.
    pub(super) fn notices(&self) -> Result<Vec<PathBuf>, FileError> {
        self.marks().notices()
    }

    pub(super) fn boot_id(&self) -> String {
        self.marks().boot_id().to_owned()
    }

    pub(super) fn user_data_is_told(&self) -> bool {
        self.marks().user_data_is_told()
    }

    pub(super) fn user_data_told(&self) -> Result<(), FileError> {
        self.marks().user_data_told()
    }

    pub(super) fn records(&self) -> Result<Vec<PathBuf>, FileError> {
        self.marks().records()
    }

    pub(super) fn record(&self, path: &Path) -> Result<Option<Waiting>, FileError> {
        self.marks().record(path)
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
