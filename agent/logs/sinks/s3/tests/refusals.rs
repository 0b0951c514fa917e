//! A far end that is away, says no, or says nothing.

use monopod_testrig::AwsFault;

use super::{Far, sink, soon};
use crate::logs::testing::Rig;
use crate::logs::{Drained, Shipper, SinkState};

fn refusal(shipper: &Shipper) -> Option<String> {
    match sink(shipper, "s3").state {
        SinkState::Refused { error, .. } => Some(error),
        _ => None,
    }
}

/// What it says when it's refused, and that nothing is lost by it.
async fn refused_with(fault: AwsFault) -> String {
    let (far, mut rig) = (Far::new(), Rig::new());
    far.aws.faults(&[fault.times(1)]);
    rig.write(10);
    let shipper = far.start(&rig).await;
    assert!(matches!(
        shipper.flush(soon()).await,
        Drained::Behind { sink: "s3", .. }
    ));
    let text = refusal(&shipper).unwrap();
    drop(shipper);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(far.lines(), rig.numbered_lines());
    text
}

#[tokio::test]
async fn a_refusal_names_the_object_and_what_to_do() {
    let text = refused_with(AwsFault::error("PutObject", "AccessDenied").status(403)).await;
    assert!(text.contains("/taupage/my-app/1.0/applog/2026/"), "{text}");
    assert!(
        text.contains("403 AccessDenied: injected by the test rig; grant"),
        "{text}"
    );
    assert!(text.contains("arn:aws:s3:::"), "{text}");
}

#[tokio::test]
async fn a_bucket_elsewhere_is_named() {
    let fault = AwsFault::error("PutObject", "PermanentRedirect")
        .status(301)
        .header("x-amz-bucket-region", "eu-west-1");
    let text = refused_with(fault).await;
    assert!(
        text.ends_with("the bucket is in eu-west-1: set `logging.s3_region` to it"),
        "{text}"
    );
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_waited_for() {
    let (mut far, mut rig) = (Far::new(), Rig::new());
    let there = std::mem::replace(&mut far.bucket, "nowhere".into());
    rig.write(10);
    let shipper = far.start(&rig).await;
    assert!(matches!(
        shipper.flush(soon()).await,
        Drained::Behind { sink: "s3", .. }
    ));
    let text = refusal(&shipper).unwrap();
    assert!(text.contains("404 NoSuchBucket"), "{text}");
    assert!(
        text.ends_with("make the bucket, or mend `logging.s3_bucket`"),
        "{text}"
    );
    drop(shipper);
    far.bucket = there;
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(far.lines(), rig.numbered_lines());
}

#[tokio::test]
async fn throttling_and_faults_of_its_own_are_no_refusal() {
    let (far, mut rig) = (Far::new(), Rig::new());
    far.aws.faults(&[
        AwsFault::error("PutObject", "SlowDown").status(503).times(1),
        AwsFault::error("PutObject", "InternalError").status(500).times(1),
        AwsFault::cut("PutObject").times(1),
    ]);
    rig.write(10);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(sink(&shipper, "s3").failures, 3);
    assert_eq!(far.lines(), rig.numbered_lines());
}

#[tokio::test]
async fn nobody_there_at_the_start_is_an_outage_that_ends() {
    let (far, mut rig) = (Far::new(), Rig::new());
    far.aws.line().down();
    rig.write(10);
    let shipper = far.start(&rig).await;
    assert!(matches!(
        shipper.flush(soon()).await,
        Drained::Behind { sink: "s3", .. }
    ));
    let SinkState::Retrying { error, .. } = sink(&shipper, "s3").state else {
        panic!("{:?}", sink(&shipper, "s3"));
    };
    assert!(error.contains("Connection refused"), "{error}");
    far.aws.line().up();
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(sink(&shipper, "s3").state, SinkState::Ok);
    assert_eq!(far.lines(), rig.numbered_lines());
}
