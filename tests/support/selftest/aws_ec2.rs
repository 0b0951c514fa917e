//! EC2's volumes, as a client that knows nothing of the rig sees them.

use std::sync::mpsc;
use std::time::Duration;

use monopod_testrig::{Aws, AwsFault, EbsAttachment, EbsVolume, Identity, wait_until};

use crate::SOON;
use crate::aws::query;

const LOW: &str = "vol-00000000000000001";
const HIGH: &str = "vol-00000000000000002";
const OTHER: &str = "i-0000000000000000f";

/// A machine that EC2 knows, and its instance id.
fn known(number: u64) -> (Aws, String) {
    let (aws, identity) = (Aws::alone(), Identity::new(number));
    aws.identify(&identity);
    (aws, identity.instance_id)
}

fn attach(aws: &Aws, volume: &str, instance: &str, device: &str) -> (u16, String) {
    let params = [("VolumeId", volume), ("InstanceId", instance), ("Device", device)];
    let (status, body) = query(aws, "ec2", "AttachVolume", &params);
    (status, outcome(&body))
}

/// The error's code, else the status of the attachment.
fn outcome(body: &str) -> String {
    element(body, "Code")
        .or_else(|| element(body, "status"))
        .unwrap_or_default()
}

fn element(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0.to_owned())
}

fn describe(aws: &Aws, params: &[(&str, &str)]) -> (u16, String) {
    query(aws, "ec2", "DescribeVolumes", params)
}

/// The ids in an answer, each once.
fn ids(body: &str) -> Vec<String> {
    let mut ids: Vec<String> = body
        .split("<volumeId>")
        .skip(1)
        .map(|rest| rest.split_once('<').unwrap().0.to_owned())
        .collect();
    ids.dedup();
    ids
}

#[test]
fn attaching_is_checked_as_aws_does() {
    let (aws, me) = known(77_101);
    let volume = aws.make_volume(EbsVolume::named("data").attach_until_told());
    let elsewhere = aws.make_volume(EbsVolume::named("data").zone("eu-central-1b"));
    let creating = aws.make_volume(EbsVolume::named("data").state("creating"));
    let second = aws.make_volume(EbsVolume::named("more"));
    let refused = |volume: &str, instance: &str, device: &str| {
        let (status, code) = attach(&aws, volume, instance, device);
        assert_eq!(status, 400);
        code
    };
    assert_eq!(refused("", &me, "/dev/sdf"), "MissingParameter");
    assert_eq!(refused("vol-x", &me, "/dev/sdf"), "InvalidParameterValue");
    assert_eq!(refused(LOW, &me, "/dev/sdf"), "InvalidVolume.NotFound");
    assert_eq!(refused(&volume, "i-x", "/dev/sdf"), "InvalidInstanceID.Malformed");
    assert_eq!(refused(&volume, OTHER, "/dev/sdf"), "InvalidInstanceID.NotFound");
    assert_eq!(refused(&elsewhere, &me, "/dev/sdf"), "InvalidVolume.ZoneMismatch");
    assert_eq!(refused(&creating, &me, "/dev/sdf"), "IncorrectState");
    assert_eq!(refused(&volume, &me, "/dev/nvme1n1"), "InvalidParameterValue");
    aws.instance(&me, "eu-central-1a", "pending");
    assert_eq!(refused(&volume, &me, "/dev/sdf"), "IncorrectState");
    aws.instance(&me, "eu-central-1a", "running");

    assert_eq!(
        attach(&aws, &volume, &me, "/dev/sdf"),
        (200, "attaching".to_owned())
    );
    assert_eq!(refused(&volume, &me, "/dev/sdg"), "VolumeInUse");
    assert_eq!(refused(&second, &me, "/dev/xvdf"), "InvalidParameterValue");
    assert_eq!(attach(&aws, &second, &me, "/dev/sdg").0, 200);
    let state = aws.volume_state(&volume);
    let attachment = EbsAttachment {
        instance: me.clone(),
        device: "/dev/sdf".to_owned(),
        state: "attaching".to_owned(),
    };
    assert_eq!(
        (state.state.as_str(), state.attachments),
        ("in-use", vec![attachment])
    );
    aws.finish_volume(&volume);
    let attachment = aws.wait_for_attachment(&volume, &me, SOON);
    assert_eq!(attachment.device, "/dev/sdf");
}

#[test]
fn another_machine_holds_it_until_it_lets_go() {
    let (aws, me) = known(77_102);
    let volume = aws.make_volume(EbsVolume::named("data"));
    aws.hold_volume(&volume, OTHER, "/dev/sdf");
    assert_eq!(attach(&aws, &volume, &me, "/dev/sdf").1, "VolumeInUse");
    aws.release_volume(&volume, Duration::from_millis(200));
    let state = aws.volume_state(&volume);
    assert_eq!(state.attachments[0].state, "detaching");
    let begun = wait_until(SOON, || {
        let (status, code) = attach(&aws, &volume, &me, "/dev/sdf");
        assert!(status == 200 || code == "VolumeInUse", "{code}");
        (status == 200).then_some(())
    });
    assert!(begun.is_some());
    aws.terminate_instance(&me);
    assert_eq!(aws.volume_state(&volume).state, "available");

    let sealed = aws.make_volume(EbsVolume::named("sealed").attach_fails());
    aws.instance(&me, "eu-central-1a", "running");
    assert_eq!(attach(&aws, &sealed, &me, "/dev/sdf").1, "attaching");
    assert_eq!(aws.volume_state(&sealed).state, "available", "nobody was told");
}

#[test]
fn a_race_is_decided_once() {
    let (one, first) = known(77_103);
    let (two, second) = known(77_104);
    two.share_volumes(&one);
    let volume = one.make_volume(EbsVolume::named("data"));
    let together = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|number| {
                let (aws, me) = if number % 2 == 0 {
                    (&one, &first)
                } else {
                    (&two, &second)
                };
                let volume = &volume;
                scope.spawn(move || attach(aws, volume, me, "/dev/sdf").1)
            })
            .collect();
        runs.into_iter()
            .map(|run| run.join().unwrap())
            .collect::<Vec<_>>()
    });
    let count = |outcome: &str| together.iter().filter(|one| *one == outcome).count();
    assert_eq!((count("attaching"), count("VolumeInUse")), (1, 7), "{together:?}");
    assert_eq!(one.volume_state(&volume), two.volume_state(&volume));
}

#[test]
fn volumes_are_found_by_filters_and_in_pages() {
    let (aws, me) = known(77_105);
    for id in [HIGH, LOW] {
        aws.make_volume(EbsVolume::named("data*1").id(id));
    }
    let far = aws.make_volume(EbsVolume::named("data*1").zone("eu-central-1b"));
    aws.make_volume(EbsVolume::named("data-1"));
    let named = |name: &str, zone: &str| {
        let params = [
            ("Filter.1.Name", "tag:Name"),
            ("Filter.1.Value.1", name),
            ("Filter.2.Name", "availability-zone"),
            ("Filter.2.Value.1", zone),
        ];
        ids(&describe(&aws, &params).1)
    };
    assert_eq!(named("data*1", "eu-central-1a").len(), 3, "a pattern");
    assert_eq!(named(r"data\*1", "eu-central-1a"), [LOW, HIGH]);
    assert_eq!(named(r"data\*1", "eu-central-1b"), [far]);
    assert!(named("Data*", "eu-central-1a").is_empty());
    attach(&aws, HIGH, &me, "/dev/sdf");
    let of = |filter, value| {
        let answer = describe(&aws, &[("Filter.1.Name", filter), ("Filter.1.Value.1", value)]);
        ids(&answer.1)
    };
    assert_eq!(of("attachment.instance-id", &me), [HIGH]);
    assert_eq!(of("status", "in-use"), [HIGH]);
    let (status, body) = describe(&aws, &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")]);
    assert_eq!((status, outcome(&body).as_str()), (400, "InvalidParameterValue"));

    aws.volume_page(3);
    let (_, first) = describe(&aws, &[("MaxResults", "100")]);
    let token = element(&first, "nextToken").unwrap();
    let (_, rest) = describe(&aws, &[("MaxResults", "100"), ("NextToken", &token)]);
    assert_eq!((ids(&first).len(), ids(&rest).len()), (3, 1));
    assert_eq!(element(&rest, "nextToken"), None);
    for (name, value) in [("MaxResults", "4"), ("NextToken", "?")] {
        assert_eq!(describe(&aws, &[(name, value)]).0, 400, "{name}");
    }
}

#[test]
fn a_tag_is_removed_whatever_its_value_unless_one_is_given() {
    let (aws, _) = known(77_106);
    let volume = aws.make_volume(EbsVolume::named("data").tag("erase", "True").tag("keep", "1"));
    let delete = |params: &[(&str, &str)]| query(&aws, "ec2", "DeleteTags", params);
    let tags = || {
        aws.volume_state(&volume)
            .tags
            .into_keys()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let with = [
        ("ResourceId.1", volume.as_str()),
        ("Tag.1.Key", "erase"),
        ("Tag.1.Value", "true"),
    ];
    let (status, body) = delete(&with);
    assert!(status == 200 && body.contains("<return>true</return>"), "{body}");
    assert_eq!(tags(), "Name erase keep");
    assert_eq!(delete(&with[..2]).0, 200);
    assert_eq!(tags(), "Name keep");
    aws.tag_volume(&volume, "erase", Some("True"));
    aws.tag_volume(&volume, "keep", None);
    assert_eq!(tags(), "Name erase");
    assert_eq!(delete(&[("ResourceId.1", LOW), ("Tag.1.Key", "erase")]).0, 400);
}

#[test]
fn faults_hold_for_ec2_too() {
    let (aws, me) = known(77_107);
    let volume = aws.make_volume(EbsVolume::named("data"));
    let other = aws.make_volume(EbsVolume::named("data"));
    aws.faults(&[
        AwsFault::error("DescribeVolumes", "RequestLimitExceeded")
            .status(503)
            .times(1),
        AwsFault::nonsense("DescribeVolumes").times(1),
        AwsFault::nonsense("AttachVolume").times(1),
        AwsFault::lost("AttachVolume").times(1),
    ]);
    let (status, body) = describe(&aws, &[]);
    assert!(
        status == 503 && body.starts_with("<Response><Errors><Error><Code>RequestLimitExceeded<"),
        "{body}"
    );
    let (status, body) = describe(&aws, &[]);
    assert!(status == 200 && body.contains("It works!"));
    assert_eq!(attach(&aws, &volume, &me, "/dev/sdf").1, "");
    assert_eq!(
        aws.volume_state(&volume).state,
        "available",
        "nonsense has done nothing"
    );
    let form = crate::aws::form(
        "AttachVolume",
        &[("VolumeId", &volume), ("InstanceId", &me), ("Device", "/dev/sdf")],
    );
    crate::aws::post(&aws, &crate::aws::signed(&aws, "ec2"), &form).unwrap_err();
    assert_eq!(
        aws.volume_state(&volume).state,
        "in-use",
        "a lost answer is of a call that was done"
    );
    assert_eq!(attach(&aws, &other, &me, "/dev/sdf").1, "InvalidParameterValue");
    assert_eq!(aws.calls_of("AttachVolume"), 3);

    aws.clock_offset(3600);
    let stamp = "X-Amz-Date: 20260101T000000Z\r\n";
    let answer = crate::aws::post(
        &aws,
        &format!("{stamp}{}", crate::aws::signed(&aws, "ec2")),
        "Action=DescribeVolumes",
    )
    .unwrap();
    assert!(
        answer.text().contains("<Code>RequestExpired</Code>"),
        "{answer:?}"
    );
}

#[test]
fn a_device_can_be_plugged_in_when_a_volume_is_attached() {
    let (aws, me) = known(77_108);
    let volume = aws.make_volume(EbsVolume::named("data").attach_until_told());
    let (sender, plugged) = mpsc::channel();
    let watch = aws.on_attached(&volume, move |attachment| {
        sender.send(attachment.clone()).unwrap();
    });
    attach(&aws, &volume, &me, "/dev/sdf");
    assert_eq!(aws.volume_state(&volume).attachments[0].state, "attaching");
    assert!(
        plugged.try_recv().is_err(),
        "it is attaching, there is no device yet"
    );
    aws.finish_volume(&volume);
    let first = plugged.recv_timeout(SOON).unwrap();
    assert_eq!((first.instance, first.device.as_str()), (me.clone(), "/dev/sdf"));
    // Once for each time.
    aws.tag_volume(&volume, "colour", Some("red"));
    aws.release_volume(&volume, Duration::ZERO);
    wait_until(SOON, || {
        (aws.volume_state(&volume).state == "available").then_some(())
    })
    .unwrap();
    aws.hold_volume(&volume, OTHER, "/dev/sdg");
    let second = plugged.recv_timeout(SOON).unwrap();
    assert_eq!(
        (second.instance.as_str(), second.device.as_str()),
        (OTHER, "/dev/sdg")
    );
    drop(watch);
    assert!(plugged.recv_timeout(SOON).is_err(), "the watch is over");
}

/// Where no test has made volumes, a client may make its own: moto has all of EC2.
#[test]
fn the_rest_of_ec2_is_motos() {
    let aws = Aws::alone();
    let params = [("AvailabilityZone", "eu-central-1a"), ("Size", "1")];
    let (status, body) = query(&aws, "ec2", "CreateVolume", &params);
    assert_eq!(status, 200, "{body}");
    let volume = element(&body, "volumeId").unwrap();
    assert_eq!(ids(&describe(&aws, &[("VolumeId.1", &volume)]).1), [volume]);
}
