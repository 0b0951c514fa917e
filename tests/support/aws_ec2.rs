//! EBS volumes, as a test makes them and another machine holds them. What EC2 then does is in the head of `aws_ec2.py`:
//! AttachVolume checks what AWS checks and takes as long as a volume is told to, a race is decided once. The faults of
//! [`crate::AwsFault`] hold for its operations too (`DescribeVolumes`, `AttachVolume`, `DeleteTags`).
//!
//! A device comes with an attachment only where a test plugs one in. [`Aws::on_attached`] calls it when EC2 says `attached`,
//! from a thread of its own that waits on a long poll:
//!
//! ```no_run
//! use std::time::Duration;
//! use monopod_testrig::{EbsVolume, Machine};
//!
//! let machine = Machine::acquire();
//! let volume = machine.aws().make_volume(EbsVolume::named("data").attach_takes(Duration::from_secs(2)));
//! let watch = machine.aws().on_attached(&volume, |attachment| {
//!     // a loop device, and the link that udev would make for it
//!     println!("{} is {}", attachment.device, attachment.instance);
//! });
//! machine.aws().hold_volume(&volume, "i-00000000000000001", "/dev/sdf");
//! // ... an agent boots and waits: another machine has the volume.
//! machine.aws().release_volume(&volume, Duration::from_secs(1));
//! # drop(watch);
//! ```
//!
//! Two machines of one account see the same volumes after [`Aws::share_volumes`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::aws::{Aws, Standin};
use crate::aws_lifecycle::text;
use crate::wait::wait_until;

/// How long one long poll waits: a watch ends at most this late.
const POLL: Duration = Duration::from_millis(500);

/// A volume to be made: available, of 8 GiB, in eu-central-1a.
#[derive(Clone, Debug)]
pub struct EbsVolume {
    order: Value,
}

impl EbsVolume {
    /// With this Name tag.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let order = json!({
            "do": "make", "id": null, "name": name, "zone": "eu-central-1a", "size": 8, "tags": {}, "state": "available",
            "attach_takes": 0.0, "attach_fails": false,
        });
        Self { order }
    }

    /// With this id (`vol-` and up to 17 hexadecimal digits) rather than one of its own.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.order["id"] = json!(id);
        self
    }

    /// In another zone.
    #[must_use]
    pub fn zone(mut self, zone: &str) -> Self {
        self.order["zone"] = json!(zone);
        self
    }

    /// Of this size, which is only told.
    #[must_use]
    pub fn size(mut self, gib: u32) -> Self {
        self.order["size"] = json!(gib);
        self
    }

    /// With another tag.
    #[must_use]
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.order["tags"][key] = json!(value);
        self
    }

    /// `creating`, `error`: it cannot be attached.
    #[must_use]
    pub fn state(mut self, state: &str) -> Self {
        self.order["state"] = json!(state);
        self
    }

    /// It is `attaching` for so long.
    #[must_use]
    pub fn attach_takes(mut self, time: Duration) -> Self {
        self.order["attach_takes"] = json!(time.as_secs_f64());
        self
    }

    /// It is `attaching` until [`Aws::finish_volume`].
    #[must_use]
    pub fn attach_until_told(mut self) -> Self {
        self.order["attach_takes"] = Value::Null;
        self
    }

    /// After `attaching` it is available again, and nobody is told why: as when its key may not be used.
    #[must_use]
    pub fn attach_fails(mut self) -> Self {
        self.order["attach_fails"] = json!(true);
        self
    }
}

/// Who has a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EbsAttachment {
    /// The instance.
    pub instance: String,
    /// The name it was attached as.
    pub device: String,
    /// `attaching`, `attached` or `detaching`.
    pub state: String,
}

/// A volume as EC2 has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EbsState {
    /// `available`, `in-use`, or what it was made with.
    pub state: String,
    /// Its tags, the name too.
    pub tags: BTreeMap<String, String>,
    /// Who has it.
    pub attachments: Vec<EbsAttachment>,
}

/// Calls something when a volume is attached; ends when it is dropped.
#[derive(Debug)]
pub struct VolumeWatch {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for VolumeWatch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What was called may have failed: the test has to hear of it, unless it fails already.
            if thread.join().is_err() && !std::thread::panicking() {
                panic!("rig: what on_attached was given has failed");
            }
        }
    }
}

impl Aws {
    /// Makes a volume and gives its id. From then on this machine's EC2 is this one, not moto's.
    pub fn make_volume(&self, volume: EbsVolume) -> String {
        text(&self.volumes(volume.order)["id"])
    }

    /// This machine sees the volumes and machines of another one, and no longer its own: they are of one account.
    pub fn share_volumes(&self, of: &Aws) {
        self.volumes(json!({"do": "join", "of": of.access_key}));
    }

    /// An instance, another or this machine's own, with the state EC2 says it has: `pending`, `running`.
    pub fn instance(&self, instance: &str, zone: &str, state: &str) {
        self.volumes(json!({"do": "instance", "instance": instance, "zone": zone, "state": state}));
    }

    /// Another instance has the volume.
    pub fn hold_volume(&self, volume: &str, instance: &str, device: &str) {
        self.volumes(json!({"do": "hold", "volume": volume, "instance": instance, "device": device}));
    }

    /// Whoever has the volume lets it go: it is `detaching` for so long, then available.
    pub fn release_volume(&self, volume: &str, takes: Duration) {
        let order =
            json!({"do": "release", "volume": volume, "instance": null, "takes": takes.as_secs_f64()});
        self.volumes(order);
    }

    /// An instance is gone; all it had is available at once.
    pub fn terminate_instance(&self, instance: &str) {
        self.volumes(json!({"do": "terminate", "instance": instance}));
    }

    /// What is under way for a volume is done now.
    pub fn finish_volume(&self, volume: &str) {
        self.volumes(json!({"do": "finish", "volume": volume}));
    }

    /// Changes a tag of a volume; `None` removes it.
    pub fn tag_volume(&self, volume: &str, key: &str, value: Option<&str>) {
        self.volumes(json!({"do": "tag", "volume": volume, "key": key, "value": value}));
    }

    /// Deletes a volume, held or not.
    pub fn remove_volume(&self, volume: &str) {
        self.volumes(json!({"do": "remove", "volume": volume}));
    }

    /// No answer of DescribeVolumes has more volumes than this.
    pub fn volume_page(&self, size: u32) {
        self.volumes(json!({"do": "page", "size": size}));
    }

    /// A volume as EC2 has it now.
    #[must_use]
    pub fn volume_state(&self, volume: &str) -> EbsState {
        read(&self.volumes(json!({"do": "show", "volume": volume})))
    }

    /// Waits until the volume is attached to this instance.
    #[must_use = "it says whether it is"]
    pub fn wait_for_attachment(&self, volume: &str, instance: &str, within: Duration) -> EbsAttachment {
        wait_until(within, || {
            let attachments = self.volume_state(volume).attachments;
            attachments
                .into_iter()
                .find(|one| one.instance == instance && one.state == "attached")
        })
        .unwrap_or_else(|| {
            panic!(
                "rig: {volume} not attached to {instance} within {within:?}: {:#?}; calls: {:#?}",
                self.volume_state(volume),
                self.calls()
            )
        })
    }

    /// Calls this each time the volume becomes attached to somebody: to plug a device in. One that is attached already
    /// counts. A watch that is dropped calls nothing any more.
    #[must_use = "it ends when it is dropped"]
    pub fn on_attached(
        &self,
        volume: &str,
        mut plug: impl FnMut(&EbsAttachment) + Send + 'static,
    ) -> VolumeWatch {
        let over = Arc::new(AtomicBool::new(false));
        let (standin, key, volume) = (self.standin, self.access_key.clone(), volume.to_owned());
        let told = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut had) = (0, Vec::new());
            while !told.load(Ordering::Relaxed) {
                let order =
                    json!({"do": "wait", "volume": volume, "seen": seen, "within": POLL.as_secs_f64()});
                let now = call(standin, &key, order);
                seen = now["version"].as_u64().unwrap_or(0);
                let attached: Vec<EbsAttachment> = read(&now)
                    .attachments
                    .into_iter()
                    .filter(|one| one.state == "attached")
                    .collect();
                for one in &attached {
                    if !had.contains(one) && !told.load(Ordering::Relaxed) {
                        plug(one);
                    }
                }
                had = attached;
            }
        });
        VolumeWatch {
            over,
            thread: Some(thread),
        }
    }

    fn volumes(&self, order: Value) -> Value {
        call(self.standin, &self.access_key, order)
    }
}

fn call(standin: &Standin, access_key: &str, mut order: Value) -> Value {
    order["access_key"] = json!(access_key);
    standin.call("POST", "/_test/volumes", &order)
}

fn read(value: &Value) -> EbsState {
    let attachments = value["attachments"].as_array().into_iter().flatten();
    EbsState {
        state: text(&value["state"]),
        tags: value["tags"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
        attachments: attachments
            .map(|one| EbsAttachment {
                instance: text(&one["instance"]),
                device: text(&one["device"]),
                state: text(&one["state"]),
            })
            .collect(),
    }
}
