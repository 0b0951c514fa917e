//! Against a receiver of our own, which can be slow, rude and forgetful.

mod faults;
mod files;
mod receiver;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use monopod_core::audit::{AuditOrders, AuditPlan};
use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::logs::LogKey;
use monopod_core::secret::Secret;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Asks, Audit, Live, Options};
use crate::report::output::Output;
use crate::report::{Reporter, SharedRedactor};
use receiver::{Act, Receiver};

const SOON: Duration = Duration::from_secs(30);
const BOOT: &str = "aaaaaaaa-0000-4000-8000-000000000000";
const NEXT_BOOT: &str = "bbbbbbbb-0000-4000-8000-000000000000";

/// A machine's directories; gone with it.
struct Machine {
    base: PathBuf,
    boot_id: &'static str,
    password: String,
    reporter: Reporter,
}

impl Machine {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let base = std::env::temp_dir().join(format!("monopod-audit-{}-{number}", std::process::id()));
        for name in ["runtime", "state", "logs"] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        let redactor = SharedRedactor::default();
        let output = Output::new(Arc::clone(&redactor));
        Self {
            reporter: Reporter::new(&base.join("runtime"), redactor, output),
            base,
            boot_id: BOOT,
            password: "hunter2-hunter2".into(),
        }
    }

    /// The same disk. It says what the last boot said of itself until it is told more.
    fn booted_again(&self) -> Self {
        Self {
            boot_id: NEXT_BOOT,
            base: self.base.clone(),
            password: self.password.clone(),
            reporter: self.reporter.clone(),
        }
    }

    fn start(&self, receiver: &Receiver) -> Audit {
        self.start_at(&receiver.url())
    }

    fn start_at(&self, url: &str) -> Audit {
        let (password, reporter) = (self.password.clone(), self.reporter.clone());
        let asks = Asks {
            password: Arc::new(move || {
                let secret = Secret::new(password.clone());
                reporter.learn("logsink_password", &secret);
                Box::pin(async move { Ok(secret) })
            }),
            user_data: Arc::new(|| {
                Box::pin(async {
                    Ok(json!({"application_id": "app", "leak": "canary-canary", "ports": {"80": 80}}))
                })
            }),
        };
        let facts = json!({
            "instance_id": "i-0123456789abcdef0", "region": "eu-central-1",
            "availability_zone": "eu-central-1a", "account_id": "123456789012",
        });
        Audit::start(Options {
            orders: AuditOrders {
                plan: AuditPlan {
                    url: url.into(),
                    username: Some("u".into()),
                    password: Some(LogKey::UserData("logsink_password".into())),
                },
                config_hash: Some("c0ffee".into()),
                opt_outs: vec!["root".into()],
            },
            facts: serde_json::from_value::<InstanceFacts>(facts).unwrap(),
            boot_id: self.boot_id.into(),
            directory: self.base.join("state/audit"),
            logs: self.logs(),
            asks,
            reporter: self.reporter.clone(),
        })
        .unwrap()
    }

    fn logs(&self) -> PathBuf {
        self.base.join("logs")
    }

    fn log(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.logs().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The names in the directory of the machine's logs.
    fn names(&self) -> Vec<String> {
        let mut all = crate::host::files::names(&self.logs()).unwrap();
        all.sort();
        all
    }

    fn fail_boot(&self) {
        self.reporter.tell(Event::BootFailed {
            reason: "the engine is away".into(),
            exit_code: 75,
        });
    }

    fn warnings(&self) -> Vec<String> {
        self.reporter.snapshot().warnings
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.base));
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !check() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err()
}

#[tokio::test]
async fn everything_is_told_once_a_boot_whatever_becomes_of_the_agent() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    machine
        .reporter
        .learn("a test", &Secret::new("canary-canary".into()));
    let log = machine.log("audit.log.1.gz", &gzip("who did what\n"));
    let audit = machine.start(&receiver);
    machine.reporter.tell(Event::Ready { text: "up".into() });
    until("three payloads", || receiver.bodies().len() == 3 && gone(&log)).await;

    let [user_data] = receiver.of("USER_DATA").try_into().unwrap();
    let yaml: Value = serde_yaml::from_slice(&user_data.data).unwrap();
    assert_eq!(
        yaml,
        json!({"application_id": "app", "leak": "[redacted]", "ports": {"80": 80}})
    );
    assert_eq!(user_data.authorization, "Basic dTpodW50ZXIyLWh1bnRlcjI=");
    assert_eq!(user_data.json["account_id"], "123456789012");
    assert_eq!(user_data.json["region"], "eu-central-1");
    assert_eq!(user_data.json["instance_id"], "i-0123456789abcdef0");
    let booted = user_data.json["instance_boot_time"].as_str().unwrap();
    assert!(
        booted.ends_with('Z') && booted.len() == "2016-08-13T10:45:03Z".len(),
        "{booted}"
    );

    let [record] = receiver.of("BOOT_RECORD").try_into().unwrap();
    let told: Value = serde_json::from_slice(&record.data).unwrap();
    assert_eq!(told["outcome"]["state"], "ready");
    assert_eq!(
        (&told["config_hash"], &told["opt_outs"][0]),
        (&json!("c0ffee"), &json!("root"))
    );
    assert_eq!(record.json["instance_boot_time"], booted);

    let [audit_log] = receiver.of("AUDIT_LOG").try_into().unwrap();
    assert_eq!(audit_log.data, gzip("who did what\n"));

    // The next agent of this boot has nothing to tell but what is new.
    drop(audit);
    let audit = machine.start(&receiver);
    machine.reporter.tell(Event::Degraded {
        reason: "sick".into(),
    });
    until("the new outcome", || receiver.of("BOOT_RECORD").len() == 2).await;
    machine.reporter.tell(Event::Ready { text: "up".into() });
    audit.flush(Instant::now() + SOON, Live::Stays).await;
    assert_eq!(receiver.bodies().len(), 4);
    drop(audit);

    // The next boot tells all of it again.
    let machine = machine.booted_again();
    let audit = machine.start(&receiver);
    audit.flush(Instant::now() + SOON, Live::Stays).await;
    assert_eq!(receiver.of("USER_DATA").len(), 2);
    assert_eq!(receiver.of("BOOT_RECORD").len(), 3);
    assert_eq!(machine.warnings(), Vec::<String>::new());
}
