//! CloudWatch's metrics, and the clock that signatures are compared with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monopod_testrig::{Aws, AwsFault};

use crate::aws_lifecycle::{query, send, signed};

/// A CBOR text.
fn text(value: &str) -> Vec<u8> {
    let mut bytes = vec![0x78, u8::try_from(value.len()).unwrap()];
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// One datum, as current SDKs write it: definite and indefinite lengths, a time with its tag, floats of eight bytes.
fn datum() -> Vec<u8> {
    [
        vec![0xbf],
        text("Namespace"),
        text("monopod"),
        text("MetricData"),
        vec![0x81, 0xbf],
        text("MetricName"),
        text("MemoryUsed"),
        text("Timestamp"),
        vec![0xc1, 0xfb],
        1_800_000_000.5_f64.to_be_bytes().to_vec(),
        text("Value"),
        vec![0xfb],
        42.5_f64.to_be_bytes().to_vec(),
        text("Unit"),
        text("Percent"),
        text("Dimensions"),
        vec![0x81, 0xa2],
        text("Name"),
        text("InstanceId"),
        text("Value"),
        text("i-1"),
        vec![0xff, 0xff],
    ]
    .concat()
}

#[test]
fn metrics_are_read_as_sdks_write_them() {
    let aws = Aws::alone();
    let head = format!(
        "POST /service/GraniteServiceVersion20100801/operation/PutMetricData HTTP/1.0\r\nContent-Type: \
         application/cbor\r\nsmithy-protocol: rpc-v2-cbor\r\n{}",
        signed(&aws, "monitoring")
    );
    let answer = send(&aws, &head, &datum()).unwrap();
    assert_eq!(
        (answer.status, answer.header("smithy-protocol")),
        (200, Some("rpc-v2-cbor"))
    );
    let params = [
        ("Namespace", "monopod"),
        ("MetricData.member.1.MetricName", "DiskUsed"),
        ("MetricData.member.1.Value", "7"),
    ];
    assert_eq!(query(&aws, "monitoring", "PutMetricData", &params).0, 200);
    let metrics = aws.metrics();
    let seen: Vec<_> = metrics
        .iter()
        .map(|metric| (&*metric.namespace, &*metric.name, metric.value))
        .collect();
    assert_eq!(
        seen,
        [
            ("monopod", "MemoryUsed", Some(42.5)),
            ("monopod", "DiskUsed", Some(7.0))
        ]
    );
    assert_eq!(metrics[0].unit.as_deref(), Some("Percent"));
    assert_eq!(metrics[0].dimensions["InstanceId"], "i-1");

    aws.faults(&[AwsFault::error("PutMetricData", "Throttling")]);
    let answer = send(&aws, &head, &datum()).unwrap();
    assert_eq!(
        (answer.status, answer.header("x-amzn-query-error")),
        (400, Some("Throttling;Sender"))
    );
    assert_eq!((aws.metrics().len(), aws.calls_of("PutMetricData")), (2, 3));
}

/// The head of a request that was signed so many seconds from now.
fn signed_at(aws: &Aws, service: &str, seconds: i64, more: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at = UNIX_EPOCH + Duration::from_secs(now.saturating_add_signed(seconds));
    // The identity document's own way of writing a time, without its punctuation.
    let mut identity = monopod_testrig::Identity::new(1);
    identity.pending_time = at;
    let document: serde_json::Value = serde_json::from_str(&identity.document()).unwrap();
    let stamp = document["pendingTime"].as_str().unwrap().replace(['-', ':'], "");
    format!(
        "POST / HTTP/1.0\r\nX-Amz-Date: {stamp}\r\n{}\r\n{more}",
        signed(aws, service)
    )
}

#[test]
fn a_signature_of_another_time_is_refused() {
    let aws = Aws::alone();
    let form = "Content-Type: application/x-www-form-urlencoded";
    let ask = |seconds| {
        let head = signed_at(&aws, "autoscaling", seconds, form);
        send(
            &aws,
            &head,
            b"Action=DescribeAutoScalingInstances&Version=2011-01-01",
        )
        .unwrap()
    };
    assert_eq!((ask(0).status, ask(280).status), (200, 200));
    let late = ask(-310);
    assert!(
        late.status == 403 && late.text().contains("Signature expired: 2"),
        "{late:?}"
    );
    assert!(
        late.text().contains("<Code>SignatureDoesNotMatch</Code>")
            && late.text().contains(" is now earlier than ")
    );

    aws.clock_offset(-3600);
    let early = ask(0);
    assert!(
        early.status == 403 && early.text().contains("Signature not yet current"),
        "{early:?}"
    );
    assert_eq!(ask(-3600).status, 200);
    aws.clock_offset(3600);
    let (late, right) = (ask(0), ask(3600));
    assert_eq!((late.status, right.status), (403, 200));
    for answer in [late, right] {
        let said = date(answer.header("date").unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(said.abs_diff(now + 3600) <= 5, "{said} beside {now}");
    }

    let json = "X-Amz-Target: TrentService.Decrypt\r\nContent-Type: application/x-amz-json-1.1";
    let answer = send(&aws, &signed_at(&aws, "kms", 0, json), b"{}").unwrap();
    assert!(
        answer.status == 400 && answer.text().contains("InvalidSignatureException"),
        "{answer:?}"
    );
    let s3 = "x-amz-content-sha256: UNSIGNED-PAYLOAD";
    let answer = send(&aws, &signed_at(&aws, "s3", 0, s3), b"").unwrap();
    assert!(
        answer.status == 403 && answer.text().contains("RequestTimeTooSkewed"),
        "{answer:?}"
    );
}

/// The seconds of a `Date`, by the time of its day alone: `Sat, 21 Nov 2026 17:38:33 GMT`.
fn date(text: &str) -> u64 {
    let clock: Vec<u64> = text
        .split(' ')
        .nth(4)
        .unwrap()
        .split(':')
        .map(|part| part.parse().unwrap())
        .collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    now / 86_400 * 86_400 + clock[0] * 3600 + clock[1] * 60 + clock[2]
}
