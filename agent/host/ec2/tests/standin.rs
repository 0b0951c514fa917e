//! The client and a stand-in of EC2 that attaches, refuses and fails as it does.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use monopod_testrig::{Aws, AwsFault, EbsVolume, Identity};

use super::*;
use crate::host::chain;

const ZONE: &str = "eu-central-1a";
const OTHER: &str = "i-0000000000000000f";

/// A machine that EC2 knows.
struct Machine {
    aws: Aws,
    id: String,
    ec2: Ec2,
}

impl Machine {
    async fn new(number: u64) -> Self {
        Self::patient(number, aws::CALL_TIMEOUT).await
    }

    async fn patient(number: u64, limit: Duration) -> Self {
        let (aws, identity) = (Aws::alone(), Identity::new(number));
        aws.identify(&identity);
        let key = Credentials::new(aws.access_key(), "secret", None, None, "test");
        let service = service_at(&aws.endpoint(), "ec2").await;
        let config = service.config.into_builder();
        let config = config
            .credentials_provider(SharedCredentialsProvider::new(key))
            .build();
        let ec2 = Ec2 {
            service: Service {
                config,
                limit,
                ..service
            },
            client: OnceCell::new(),
        };
        Self {
            aws,
            id: identity.instance_id,
            ec2,
        }
    }

    async fn attach(&self, volume: &str) -> Result<Attached, Ec2Error> {
        self.ec2.attach(volume, &self.id, "/dev/sdf").await
    }

    async fn named(&self, name: &str) -> Vec<Volume> {
        self.ec2.volumes_named(name, ZONE).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_machines_race_for_one_volume() {
    let (one, two) = (Machine::new(78_001).await, Machine::new(78_002).await);
    two.aws.share_volumes(&one.aws);
    for round in 0..5 {
        let volume = one.aws.make_volume(EbsVolume::named("raced").attach_until_told());
        let (first, second) = tokio::join!(one.attach(&volume), two.attach(&volume));
        let (first, second) = (first.unwrap(), second.unwrap());
        let (winner, loser) = match (first, second) {
            (Attached::Begun, Attached::Taken) => (&one, &two),
            (Attached::Taken, Attached::Begun) => (&two, &one),
            both => panic!("{both:?} in round {round}"),
        };
        // Who lost sees who won, and changes nothing about it by asking again.
        assert_eq!(loser.attach(&volume).await.unwrap(), Attached::Taken);
        let found = loser.named("raced").await;
        assert_eq!(found[0].state, VolumeState::InUse);
        let attachment = Attachment {
            instance_id: winner.id.clone(),
            device: "/dev/sdf".to_owned(),
            state: "attaching".to_owned(),
        };
        assert_eq!(found[0].attachments, [attachment]);
        assert_eq!(winner.ec2.volumes_of(&winner.id).await.unwrap(), found);
        assert!(loser.ec2.volumes_of(&loser.id).await.unwrap().is_empty());
        // When the winner is gone it is the other one's.
        one.aws.finish_volume(&volume);
        one.aws.release_volume(&volume, Duration::ZERO);
        assert_eq!(loser.attach(&volume).await.unwrap(), Attached::Begun);
        one.aws.remove_volume(&volume);
    }
    for aws in [&one.aws, &two.aws] {
        assert_eq!(aws.calls_of("DetachVolume"), 0);
    }
}

#[tokio::test]
async fn all_pages_of_a_name_that_looks_like_a_pattern() {
    let machine = Machine::new(78_003).await;
    let name = r"shop *?\ <data>/ä";
    let mut made: Vec<String> = (0..5)
        .map(|_| machine.aws.make_volume(EbsVolume::named(name).size(3)))
        .collect();
    made.sort();
    machine.aws.make_volume(EbsVolume::named(r"shop 12\ <data>/ä"));
    machine
        .aws
        .make_volume(EbsVolume::named(name).zone("eu-central-1b"));
    machine.aws.volume_page(2);
    let found = machine.named(name).await;
    let ids: Vec<&str> = found.iter().map(|volume| volume.id.as_str()).collect();
    assert_eq!(ids, made);
    assert!(
        found
            .iter()
            .all(|volume| volume.size_gib == 3 && volume.zone == ZONE)
    );
    assert_eq!(machine.aws.calls_of("DescribeVolumes"), 3);
}

#[tokio::test]
async fn what_was_done_although_the_answer_was_lost_is_not_done_twice() {
    let machine = Machine::new(78_004).await;
    let volume = machine
        .aws
        .make_volume(EbsVolume::named("data").tag(ERASE_TAG, "True"));
    machine.aws.faults(&[
        AwsFault::lost("AttachVolume").times(1),
        AwsFault::lost("DeleteTags").times(1),
    ]);
    let error = machine.attach(&volume).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert_eq!(machine.attach(&volume).await.unwrap(), Attached::Taken);
    let mine = machine.ec2.volumes_of(&machine.id).await.unwrap();
    assert_eq!(
        (mine[0].id.as_str(), mine[0].erase_tag()),
        (volume.as_str(), true)
    );

    machine.ec2.remove_erase_tag(&volume).await.unwrap_err();
    machine.ec2.remove_erase_tag(&volume).await.unwrap();
    assert!(!machine.named("data").await[0].erase_tag());
}

#[tokio::test]
async fn every_fault_of_every_call_has_its_class() {
    use Class::{Permanent, Throttled, Transient};
    let machine = Machine::patient(78_005, Duration::from_millis(800)).await;
    let volume = machine.aws.make_volume(EbsVolume::named("data"));
    for (op, name) in [
        ("DescribeVolumes", "volumes"),
        ("AttachVolume", "attaching"),
        ("DeleteTags", "the tag"),
    ] {
        let of = |code: &str, status| AwsFault::error(op, code).status(status);
        for (fault, class) in [
            (of("RequestLimitExceeded", 503), Throttled),
            (of("InternalError", 500), Transient),
            (of("Unavailable", 503), Transient),
            (of("UnauthorizedOperation", 403), Permanent),
            (of("MissingParameter", 400), Permanent),
            (AwsFault::nonsense(op), Transient),
            (AwsFault::cut(op), Transient),
            (AwsFault::slow(op, Duration::from_secs(2)), Transient),
        ] {
            machine.aws.faults(std::slice::from_ref(&fault));
            let error = match op {
                "DescribeVolumes" => machine.ec2.volumes_named("data", ZONE).await.err(),
                "AttachVolume" => machine.attach(&volume).await.err(),
                _ => machine.ec2.remove_erase_tag(&volume).await.err(),
            };
            let error = error.unwrap_or_else(|| panic!("{fault:?} was passed over"));
            assert_eq!(error.class(), class, "{fault:?}: {error}");
            let told = chain(&error);
            assert!(
                told.contains("EC2 in eu-central-1") && told.contains(name),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn what_ec2_refuses_by_itself_has_its_class() {
    let machine = Machine::new(78_006).await;
    let (aws, me) = (&machine.aws, &machine.id);
    let volume = aws.make_volume(EbsVolume::named("data"));
    let far = aws.make_volume(EbsVolume::named("data").zone("eu-central-1b"));
    let held = aws.make_volume(EbsVolume::named("data"));
    aws.hold_volume(&held, OTHER, "/dev/sdf");
    let creating = aws.make_volume(EbsVolume::named("data").state("creating"));
    for taken in [&held, &creating] {
        assert_eq!(machine.attach(taken).await.unwrap(), Attached::Taken);
    }
    for (volume, instance, device, class, words) in [
        (
            far.as_str(),
            me.as_str(),
            "/dev/sdf",
            Class::Permanent,
            "its own availability zone",
        ),
        (
            "vol-0123456789abcdef0",
            me,
            "/dev/sdf",
            Class::Permanent,
            "gone since it was found",
        ),
        (
            &volume,
            "i-00000000000000bad",
            "/dev/sdf",
            Class::Transient,
            "does not exist",
        ),
        (
            &volume,
            me,
            "/dev/nvme1n1",
            Class::Permanent,
            "/dev/sdf to /dev/sdp",
        ),
    ] {
        let error = machine.ec2.attach(volume, instance, device).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // EC2 calls a machine pending for a while after it runs.
    aws.instance(me, ZONE, "pending");
    let error = machine.attach(&volume).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
    aws.instance(me, ZONE, "running");
    assert_eq!(machine.attach(&volume).await.unwrap(), Attached::Begun);
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_an_hour() {
    let machine = Machine::new(78_007).await;
    let volume = machine.aws.make_volume(EbsVolume::named("data"));
    for offset in [-3600, 3600] {
        machine.aws.clock_offset(offset);
        assert_eq!(machine.named("data").await[0].id, volume);
    }
    let statuses: Vec<u16> = machine.aws.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [400, 200, 400, 200]);
}
