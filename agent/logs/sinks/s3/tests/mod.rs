//! The whole of it: an engine's files at one end, a bucket at the other.

mod kills;
mod refusals;

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use monopod_core::logs::{Attributes, LogPlan, Origin, Route, S3Target, StreamName, Target, Treatment};
use monopod_testrig::{Aws, Object};

use crate::host::s3::Clients;
use crate::logs::testing::{Rig, sink, soon, until};
use crate::logs::{Drained, Options, Shipper};

const REGION: &str = "eu-central-1";

/// A bucket, and a machine that ships to it.
struct Far {
    aws: Aws,
    bucket: String,
    timekey_seconds: u32,
    raw: bool,
}

impl Far {
    fn new() -> Self {
        let aws = Aws::alone();
        let bucket = aws.make_bucket();
        Self {
            aws,
            bucket,
            timekey_seconds: 300,
            raw: true,
        }
    }

    fn options(&self, rig: &Rig) -> Options {
        let target = Target::S3(S3Target {
            bucket: self.bucket.clone(),
            region: None,
            timekey_seconds: self.timekey_seconds,
            raw: self.raw,
            acl: "bucket-owner-full-control".into(),
        });
        Options {
            application_log: None,
            plan: LogPlan {
                routes: vec![Route {
                    stream: StreamName::Applog,
                    origin: Origin::Application,
                    target,
                    treatment: Treatment::default(),
                }],
                // The least that an object can be told to cover.
                budget: 1,
                ..LogPlan::default()
            },
            attributes: Attributes {
                application_id: "my-app".into(),
                application_version: "1.0".into(),
                region: REGION.into(),
                instance_id: "i-1".into(),
                hostname: "ip-10-0-0-1".into(),
                ..Attributes::default()
            },
            ..rig.options()
        }
    }

    async fn start(&self, rig: &Rig) -> Shipper {
        let clients = Clients::at(REGION, &self.aws.endpoint(), self.aws.access_key());
        let shipper = Shipper::start_with(self.options(rig), clients).await.unwrap();
        shipper.follow("c1", rig.engine.path()).await.unwrap();
        shipper
    }

    fn objects(&self) -> Vec<Object> {
        self.aws.objects(&self.bucket, "taupage/my-app/1.0/applog/")
    }

    /// All lines of all objects, in the order of the objects' names.
    fn lines(&self) -> Vec<String> {
        self.objects().iter().flat_map(lines_of).collect()
    }
}

fn lines_of(object: &Object) -> Vec<String> {
    let mut text = String::new();
    MultiGzDecoder::new(&*object.body)
        .read_to_string(&mut text)
        .unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn lines_become_an_object_at_a_flush() {
    let (far, mut rig) = (Far::new(), Rig::new());
    rig.write(1_000);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.flush(soon()).await, Drained::Complete);
    let objects = far.objects();
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(far.lines(), rig.numbered_lines());
    let (key, metadata) = (&objects[0].key, &objects[0].metadata);
    let (folder, name) = key.rsplit_once('/').unwrap();
    assert_eq!(folder, "taupage/my-app/1.0/applog/2026/01/02/03/ip-10-0-0-1");
    assert!(
        name.starts_with("20260102T030405.000_") && name.ends_with("_000000000000.gz"),
        "{name}"
    );
    assert_eq!(
        metadata.get("content-type").map(String::as_str),
        Some("application/x-gzip")
    );
    assert_eq!(metadata.get("content-encoding"), None, "{metadata:?}");
    assert_eq!(sink(&shipper, "s3").delivered, 1_000);
}

#[tokio::test]
async fn an_object_leaves_when_its_time_is_over() {
    let (mut far, mut rig) = (Far::new(), Rig::new());
    far.timekey_seconds = 1;
    let shipper = far.start(&rig).await;
    rig.write(10);
    until("an object", || sink(&shipper, "s3").delivered == 10).await;
    rig.write(10);
    until("the next", || sink(&shipper, "s3").delivered == 20).await;
    assert_eq!(far.objects().len(), 2);
    assert_eq!(far.lines(), rig.numbered_lines());
    drop(shipper);
}

#[tokio::test]
async fn an_object_covers_no_more_of_the_spool_than_it_may() {
    let (far, mut rig) = (Far::new(), Rig::new());
    // A mebibyte of records: nothing is waited for, and nothing is flushed.
    rig.write(12_000);
    let shipper = far.start(&rig).await;
    until("objects", || sink(&shipper, "s3").delivered > 5_000).await;
    assert!(far.objects().len() >= 2);
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(far.lines(), rig.numbered_lines());
    let most = far
        .objects()
        .iter()
        .map(|object| lines_of(object).len())
        .max()
        .unwrap();
    // A batch of 128 KiB more at most.
    assert!(most < 5_000, "{most}");
}

#[tokio::test]
async fn each_line_is_an_object_of_json_where_that_is_asked_for() {
    let (mut far, mut rig) = (Far::new(), Rig::new());
    far.raw = false;
    rig.engine.write("text");
    rig.engine.record("{\"level\":\"info\"}\n", "stderr");
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let json: Vec<serde_json::Value> = far
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json.len(), 2, "{json:?}");
    assert_eq!(
        (&json[0]["message"], &json[0]["stream"]),
        (&"text".into(), &"stdout".into())
    );
    assert_eq!(json[1]["json"]["level"], "info");
    assert_eq!(json[1]["time"], "2026-01-02T03:04:05.000000002Z");
    assert_eq!(json[1]["host"], "ip-10-0-0-1");
}

#[tokio::test]
async fn our_own_words_are_an_object_of_their_own() {
    let (far, mut rig) = (Far::new(), Rig::new());
    rig.write(10);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    shipper.record_gap("the engine died");
    rig.write(10);
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let told: Vec<_> = far
        .objects()
        .into_iter()
        .filter(|object| object.key.contains("_told_"))
        .collect();
    assert_eq!(told.len(), 1);
    assert!(lines_of(&told[0])[0].contains("the engine died"));
    let own: Vec<_> = far
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("line "))
        .collect();
    assert_eq!(own, rig.numbered_lines());
}
