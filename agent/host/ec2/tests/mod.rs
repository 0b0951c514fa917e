//! A server that answers as EC2 does, and as it should not.

mod standin;

use std::time::Duration;

use monopod_core::storage::volume::{Attachment, VolumeState};

use super::*;
use crate::host::aws::tests::service_at;
use crate::host::testing::{Asked, Reply, Server, nonsense, reply, silence};

const NS: &str = r#"xmlns="http://ec2.amazonaws.com/doc/2016-11-15/""#;

async fn at(server: &Server) -> Ec2 {
    limited(server, Duration::from_secs(5)).await
}

async fn limited(server: &Server, limit: Duration) -> Ec2 {
    let service = service_at(&server.url, "ec2").await;
    Ec2 {
        service: Service { limit, ..service },
        client: OnceCell::new(),
    }
}

/// An error of EC2's.
fn refusal(status: u16, code: &str, message: &str) -> Reply {
    reply(
        status,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>\
             </Error></Errors><RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>"
        ),
    )
}

fn item(id: &str, name: &str) -> String {
    format!(
        "<item><volumeId>{id}</volumeId><size>8</size><availabilityZone>eu-central-1a</availabilityZone>\
         <status>available</status><attachmentSet/><tagSet><item><key>Name</key><value>{name}</value></item></tagSet></item>"
    )
}

fn page(items: &str, next: &str) -> Reply {
    reply(
        200,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeVolumesResponse {NS}><requestId>1</requestId>\
             <volumeSet>{items}</volumeSet><nextToken>{next}</nextToken></DescribeVolumesResponse>"
        ),
    )
}

fn attached() -> Reply {
    reply(
        200,
        format!(
            "<AttachVolumeResponse {NS}><requestId>1</requestId><volumeId>vol-1</volumeId><status>attaching</status></AttachVolumeResponse>"
        ),
    )
}

#[tokio::test]
async fn a_volume_is_read_whole() {
    let body = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeVolumesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</requestId>
    <volumeSet>
        <item>
            <volumeId>vol-1234567890abcdef0</volumeId>
            <size>80</size>
            <snapshotId/>
            <availabilityZone>us-east-1a</availabilityZone>
            <status>in-use</status>
            <createTime>2026-11-21T04:16:55.086Z</createTime>
            <attachmentSet>
                <item>
                    <volumeId>vol-1234567890abcdef0</volumeId>
                    <instanceId>i-1234567890abcdef0</instanceId>
                    <device>/dev/sdh</device>
                    <status>attaching</status>
                    <attachTime>2026-11-21T04:16:55.000Z</attachTime>
                    <deleteOnTermination>false</deleteOnTermination>
                </item>
            </attachmentSet>
            <tagSet>
                <item><key>Name</key><value>a &amp; &quot;b&quot; &#228;&#x41; <![CDATA[<c>]]></value></item>
                <item><key>Taupage:erase-on-boot</key><value>True</value></item>
            </tagSet>
            <unknown><status>error</status></unknown>
        </item>
        <item><volumeId>vol-2</volumeId><status>deleting</status></item>
    </volumeSet>
</DescribeVolumesResponse>"#;
    let server = Server::saying(reply(200, body)).await;
    let volumes = at(&server).await.volumes_of("i-1234567890abcdef0").await.unwrap();
    let first = Volume {
        id: "vol-1234567890abcdef0".to_owned(),
        zone: "us-east-1a".to_owned(),
        state: VolumeState::InUse,
        attachments: vec![Attachment {
            instance_id: "i-1234567890abcdef0".to_owned(),
            device: "/dev/sdh".to_owned(),
            state: "attaching".to_owned(),
        }],
        tags: vec![
            ("Name".to_owned(), "a & \"b\" äA <c>".to_owned()),
            (ERASE_TAG.to_owned(), "True".to_owned()),
        ],
        size_gib: 80,
    };
    assert_eq!(volumes[0], first);
    assert!(volumes[0].erase_tag());
    assert_eq!(
        (volumes.len(), &volumes[1].state),
        (2, &VolumeState::Other("deleting".to_owned()))
    );
    let asked = server.asked();
    assert!(
        asked[0]
            .body
            .contains("Filter.1.Name=attachment.instance-id&Filter.1.Value.1=i-1234567890abcdef0&")
    );
    assert_eq!(asked[0].line, "POST / HTTP/1.1");
    assert!(
        asked[0]
            .header("authorization")
            .unwrap()
            .contains("/eu-central-1/ec2/aws4_request")
    );
}

#[tokio::test]
async fn all_pages_are_read_and_only_the_exact_name_counts() {
    let server = Server::start(|asked: &Asked| match asked.body.split_once("&NextToken=") {
        None => page(&(item("vol-1", "data") + &item("vol-2", "Data")), "two&amp;"),
        Some((_, "two%26")) => page("", "three"),
        Some((_, "three")) => page(&item("vol-3", "data"), ""),
        Some((_, other)) => refusal(400, "InvalidParameterValue", other),
    })
    .await;
    let volumes = at(&server)
        .await
        .volumes_named("data", "eu-central-1a")
        .await
        .unwrap();
    let ids: Vec<&str> = volumes.iter().map(|volume| volume.id.as_str()).collect();
    assert_eq!(ids, ["vol-1", "vol-3"]);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn pages_without_an_end_are_nobodys() {
    let server = Server::saying(page("", "again")).await;
    let error = at(&server).await.volumes_of("i-1").await.unwrap_err();
    assert!(matches!(error, Ec2Error::Nonsense { status: 200, .. }), "{error}");
    assert_eq!(server.asked().len(), 2);

    let number = std::sync::atomic::AtomicUsize::new(0);
    let next = move |_: &Asked| {
        page(
            "",
            &number
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
                .to_string(),
        )
    };
    let server = Server::start(next).await;
    at(&server).await.volumes_of("i-1").await.unwrap_err();
    assert_eq!(server.asked().len(), MOST_PAGES + 1);
}

#[tokio::test]
async fn an_attachment_is_begun_or_somebody_was_faster() {
    let server = Server::saying(attached()).await;
    let outcome = at(&server).await.attach("vol-1", "i-1", "/dev/sdf").await;
    assert_eq!(outcome.unwrap(), Attached::Begun);
    for (code, message) in [
        ("VolumeInUse", "vol-1 is already attached to an instance"),
        ("IncorrectState", "vol-1 is not 'available'."),
    ] {
        let server = Server::saying(refusal(400, code, message)).await;
        let outcome = at(&server).await.attach("vol-1", "i-1", "/dev/sdf").await;
        assert_eq!(outcome.unwrap(), Attached::Taken, "{code}");
    }
    // The same code about the machine itself, as long as EC2 calls it pending.
    let server = Server::saying(refusal(400, "IncorrectState", "Instance 'i-1' is not 'running'.")).await;
    let error = at(&server)
        .await
        .attach("vol-1", "i-1", "/dev/sdf")
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
}

#[tokio::test]
async fn the_tag_is_gone_only_when_ec2_says_so() {
    let answer = |yes: &str| {
        reply(
            200,
            format!(
                "<DeleteTagsResponse {NS}><requestId>1</requestId><return>{yes}</return></DeleteTagsResponse>"
            ),
        )
    };
    let server = Server::saying(answer("true")).await;
    at(&server).await.remove_erase_tag("vol-1").await.unwrap();
    let body = &server.asked()[0].body;
    assert!(
        body.contains("ResourceId.1=vol-1&Tag.1.Key=Taupage%3Aerase-on-boot") && !body.contains("Value"),
        "{body}"
    );
    // Another action's yes is none of it.
    for no in [answer("false"), answer(""), attached(), page("", "")] {
        let server = Server::saying(no).await;
        let error = at(&server).await.remove_erase_tag("vol-1").await.unwrap_err();
        assert!(matches!(error, Ec2Error::Nonsense { .. }), "{error}");
    }
}

#[tokio::test]
async fn every_refusal_has_its_class() {
    use Class::{Permanent, Throttled, Transient};
    for (status, code, class) in [
        (403, "UnauthorizedOperation", Permanent),
        (400, "InvalidVolume.NotFound", Permanent),
        (400, "InvalidVolume.ZoneMismatch", Permanent),
        (400, "InvalidVolumeID.Malformed", Permanent),
        (400, "InvalidParameterValue", Permanent),
        (400, "MissingParameter", Permanent),
        (400, "AttachmentLimitExceeded", Permanent),
        (401, "OptInRequired", Permanent),
        (503, "RequestLimitExceeded", Throttled),
        (400, "Throttling", Throttled),
        (429, "Whatever", Throttled),
        (500, "InternalError", Transient),
        (503, "Unavailable", Transient),
        (503, "ServiceUnavailable", Transient),
        (400, "InternalFailure", Transient),
        (401, "AuthFailure", Transient),
        (400, "RequestExpired", Transient),
        (400, "InvalidInstanceID.NotFound", Transient),
        (400, "IncorrectInstanceState", Transient),
    ] {
        let server = Server::saying(refusal(status, code, "no &lt;such&gt; thing")).await;
        let error = at(&server)
            .await
            .attach("vol-1", "i-1", "/dev/sdf")
            .await
            .unwrap_err();
        assert_eq!(error.class(), class, "{code}");
        let told = error.to_string();
        assert!(
            told.contains("EC2 in eu-central-1")
                && told.contains("attaching vol-1 to i-1 as /dev/sdf")
                && told.contains(&format!("{code}: no <such> thing")),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_grant_and_is_short() {
    let message = "You are not authorized to perform this operation. User: arn:aws:sts::1:assumed-role/app/i-1 is not authorized to \
                   perform: ec2:AttachVolume. Encoded authorization failure message: 4OyTnT2lPkZ";
    let server = Server::saying(refusal(403, "UnauthorizedOperation", message)).await;
    let told = at(&server)
        .await
        .attach("vol-1", "i-1", "/dev/sdf")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("monopod plan --iam") && told.contains("perform: ec2:AttachVolume"),
        "{told}"
    );
    assert!(
        !told.contains("4OyTnT2lPkZ") && !told.contains("Encoded"),
        "{told}"
    );
}

#[tokio::test]
async fn who_is_not_ec2_is_told_from_it() {
    for (name, answer) in nonsense() {
        let server = Server::saying(answer).await;
        let ec2 = at(&server).await;
        let errors = [
            ec2.volumes_named("data", "eu-central-1a").await.err(),
            ec2.attach("vol-1", "i-1", "/dev/sdf").await.err(),
            ec2.remove_erase_tag("vol-1").await.err(),
        ];
        for error in errors {
            assert_eq!(error.map(|error| error.class()), Some(Class::Transient), "{name}");
        }
    }
    for (status, class) in [
        (502, Class::Transient),
        (403, Class::Transient),
        (429, Class::Throttled),
    ] {
        let server = Server::saying(reply(status, "<html><body>no</body></html>")).await;
        let error = at(&server).await.volumes_of("i-1").await.unwrap_err();
        assert!(error.to_string().contains("a proxy in between"), "{error}");
        assert_eq!(error.class(), class, "{status}");
    }
    // More than any answer, nested without an end, half, and with what no API sends.
    let deep = format!("<DescribeVolumesResponse>{}", "<a>".repeat(100_000));
    let deep_closed = format!("{deep}{}</DescribeVolumesResponse>", "</a>".repeat(100_000));
    let endless = page(&item("vol-1", "data"), &" ".repeat(8 << 20));
    let entities = "<!DOCTYPE x [<!ENTITY a \"vol-1\">]><DescribeVolumesResponse><volumeSet><item><volumeId>&a;</volumeId></item></volumeSet></DescribeVolumesResponse>";
    let nameless = page("<item><size>8</size></item>", "");
    for answer in [
        reply(200, deep),
        reply(200, deep_closed),
        endless,
        reply(200, entities),
        nameless,
    ] {
        let server = Server::saying(answer).await;
        let error = at(&server).await.volumes_of("i-1").await.unwrap_err();
        assert!(matches!(error, Ec2Error::Nonsense { .. }), "{error}");
    }
}

#[tokio::test]
async fn who_says_nothing_is_left_in_time_and_nobody_else_is_asked() {
    let server = Server::saying(silence()).await;
    let ec2 = limited(&server, Duration::from_millis(100)).await;
    let error = ec2.volumes_of("i-1").await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert!(error.to_string().contains("was not reached"), "{error}");
    assert_eq!(server.asked().len(), 1, "one attempt");

    let elsewhere = Server::saying(attached()).await;
    let away = reply(307, "").with("location", elsewhere.url.clone());
    let server = Server::saying(away).await;
    at(&server)
        .await
        .attach("vol-1", "i-1", "/dev/sdf")
        .await
        .unwrap_err();
    assert_eq!((server.asked().len(), elsewhere.asked().len()), (1, 0));
}

/// The machine's clock is an hour behind; EC2's `Date` is an hour ahead of it.
#[tokio::test]
async fn a_wrong_clock_costs_one_more_call() {
    for (code, message) in [
        ("RequestExpired", "Request has expired."),
        (
            "AuthFailure",
            "Signature not yet current: 20261121T051655Z is still later than",
        ),
    ] {
        let server = Server::start(move |asked: &Asked| {
            if asked.header("x-amz-date") == Some("20301121T041655Z") {
                attached()
            } else {
                refusal(400, code, message).with("Date", "Thu, 21 Nov 2030 04:16:55 GMT")
            }
        })
        .await;
        let outcome = at(&server).await.attach("vol-1", "i-1", "/dev/sdf").await;
        assert_eq!(outcome.unwrap(), Attached::Begun, "{code}");
        assert_eq!(server.asked().len(), 2);
    }
    // Once: who goes on saying so has another reason.
    let refuse = refusal(400, "RequestExpired", "Request has expired.");
    let server = Server::saying(refuse.with("Date", "Thu, 21 Nov 2030 04:16:55 GMT")).await;
    let error = at(&server).await.volumes_of("i-1").await.unwrap_err();
    assert_eq!((error.class(), server.asked().len()), (Class::Transient, 2));
}
