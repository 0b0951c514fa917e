//! What the metadata service says of a machine's end.

use std::time::{Duration, UNIX_EPOCH};

use monopod_testrig::{Identity, Machine};

#[test]
fn notices_come_and_go() {
    let machine = Machine::acquire();
    machine.imds().version_one();
    let get = |path: &str| {
        let answer = machine
            .http_get(monopod_testrig::IMDS_PORT, &format!("/latest/{path}"))
            .unwrap();
        (answer.status == 200).then(|| answer.text())
    };
    let paths = [
        "meta-data/autoscaling/target-lifecycle-state",
        "meta-data/spot/instance-action",
        "meta-data/events/recommendations/rebalance",
        "meta-data/tags/instance/aws:autoscaling:groupName",
        "meta-data/tags/instance",
    ];
    assert_eq!(paths.map(get), [None, None, None, None, None]);
    let imds = machine.imds();
    imds.target_state(Some("Terminated"));
    imds.spot("terminate", UNIX_EPOCH + Duration::from_secs(951_827_696));
    imds.rebalance(UNIX_EPOCH);
    imds.tag("aws:autoscaling:groupName", "shop");
    let said = paths.map(|path| get(path).unwrap());
    let expected = [
        "Terminated",
        r#"{"action":"terminate","time":"2000-02-29T12:34:56Z"}"#,
        r#"{"noticeTime":"1970-01-01T00:00:00Z"}"#,
        "shop",
        "aws:autoscaling:groupName",
    ];
    assert_eq!(said, expected);
    assert_eq!(get("meta-data/tags/instance/Name"), None);
    imds.target_state(None);
    assert_eq!(get(paths[0]), None);
    imds.clear_notices();
    assert_eq!(get(paths[1]), None);
}

#[test]
fn a_document_has_a_signature_in_lines() {
    let machine = Machine::acquire();
    machine.imds().version_one();
    let get = |path: &str| {
        let path = format!("/latest/dynamic/instance-identity/{path}");
        machine
            .http_get(monopod_testrig::IMDS_PORT, &path)
            .unwrap()
            .text()
    };
    let signature = get("signature");
    let lengths: Vec<usize> = signature.split('\n').map(str::len).collect();
    assert_eq!(lengths, [76, 76, 20]);
    assert_ne!(Identity::new(1).signature(), Identity::new(2).signature());
    let before = get("document");
    machine
        .imds()
        .identity(|identity| identity.instance_id = "i-changed".into());
    assert!(before != get("document") && signature != get("signature"));
}
