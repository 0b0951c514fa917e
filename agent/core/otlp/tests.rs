use serde_json::{Value, json};

use super::answer::{Verdict, judge};
use super::exposition::{Kind, read};
use super::logs::{FOOT, Frame, nanoseconds};
use super::metrics::Starts;
use super::resource::Who;
use super::*;
use crate::config::parse;
use crate::event::Event;
use crate::logs::{Attributes, Line, Stream, Target};
use crate::metrics::{Figures, render};
use crate::plan::{Plan, StepId};
use crate::record::sample::full;
use crate::record::{BootRecord, Outcome};

const BASE: &str = "#taupage-ami-config\napplication_id: app\napplication_version: '1'\nruntime: Docker\nsource: registry.example.org:5000/team/app:1\n";

fn plan(lines: &str) -> Plan {
    let report = parse(format!("{BASE}{lines}").as_bytes(), "user data");
    Plan::new(report.config().unwrap(), Vec::new(), None)
}

#[test]
fn a_plan_names_headers_and_shows_none() {
    let plan = plan(
        "otlp: {endpoint: 'https://o.example.org/otlp/', headers: {Authorization: aws:ssm:/otlp/key, X-Key: hunter2-hunter2}}",
    );
    let shown = format!("{} {} {plan:?}", plan.to_text(), plan.to_json());
    assert!(!shown.contains("hunter2"), "{shown}");
    for words in [
        "the container to https://o.example.org/otlp/v1/logs, the header Authorization from <the parameter /otlp/key>, the header X-Key from `otlp.headers.X-Key` of the user data",
        "what /metrics serves, every 60 s, to https://o.example.org/otlp/v1/metrics",
        "the boot as one trace, once, to https://o.example.org/otlp/v1/traces",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    let calls = plan.aws_calls();
    assert_eq!(
        (calls[0].action, calls[0].times, calls[0].why.as_str()),
        ("ssm:GetParameter", 1, "fetch the OTLP header Authorization")
    );
    assert!(plan.every_use().is_empty(), "no step waits for it");
    let json = serde_json::to_string(&plan.extras).unwrap();
    assert_eq!(
        serde_json::from_str::<crate::plan::extras::Extras>(&json).unwrap(),
        plan.extras
    );
}

#[test]
fn only_what_is_asked_for() {
    let none = plan("");
    assert_eq!(none.extras.otlp, None);
    assert!(none.to_json()["extras"].get("otlp").is_none());
    let routes = |lines: &str| {
        let plan = plan(&format!("otlp: {{endpoint: 'https://o.example.org', {lines}}}"));
        let routes = plan.logs.routes.iter();
        let lines = routes
            .filter(|route| matches!(route.target, Target::Otlp(_)))
            .count();
        let otlp = plan.extras.otlp.unwrap();
        (lines, otlp.metrics_seconds, otlp.traces)
    };
    assert_eq!(routes("signals: [logs]"), (1, None, false));
    assert_eq!(routes("signals: [metrics], interval: 30s"), (0, Some(30), false));
    assert_eq!(routes("signals: [traces]"), (0, None, true));
    let custom = plan("mount_custom_log: true\notlp: {endpoint: 'https://o.example.org'}");
    assert_eq!(custom.logs.routes.len(), 2, "{:?}", custom.logs.routes);
}

#[test]
fn the_container_stays_when_it_changes() {
    assert_eq!(
        plan("").intent,
        plan("otlp: {endpoint: 'https://o.example.org'}").intent
    );
}

fn attribute<'v>(attributes: &'v Value, key: &str) -> Option<&'v Value> {
    let all = attributes.as_array().unwrap();
    all.iter().find(|one| one["key"] == key).map(|one| &one["value"])
}

#[test]
fn a_resource_has_what_is_known() {
    let record = full();
    let resource = Who::of_machine(&record).resource();
    let has = |key: &str| attribute(&resource["attributes"], key).cloned();
    let facts = record.facts.as_ref().unwrap();
    for (key, value) in [
        ("service.name", "shop"),
        ("service.version", "1.2"),
        ("service.instance.id", facts.instance_id.as_str()),
        ("host.id", facts.instance_id.as_str()),
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_ec2"),
        ("cloud.region", facts.region.as_str()),
        ("container.id", record.container.as_ref().unwrap().id.as_str()),
    ] {
        assert_eq!(has(key), Some(json!({ "stringValue": value })), "{key}");
    }
    let nothing = Who::of_machine(&BootRecord::new("1", 1, 1)).resource();
    assert_eq!(nothing, json!({ "attributes": [] }));
    let who = Who {
        image: "registry.example.org:5000/team/app:1",
        digest: "sha256:0a",
        ..Who::default()
    };
    let resource = who.resource();
    let has = |key: &str| attribute(&resource["attributes"], key).cloned().unwrap();
    assert_eq!(
        has("container.image.name")["stringValue"],
        "registry.example.org:5000/team/app"
    );
    assert_eq!(
        has("container.image.tags")["arrayValue"]["values"][0]["stringValue"],
        "1"
    );
    assert_eq!(
        has("container.image.repo_digests")["arrayValue"]["values"][0]["stringValue"],
        "registry.example.org:5000/team/app@sha256:0a"
    );
}

fn records(lines: &[Line<'_>], file: Option<&str>) -> Vec<Value> {
    let attributes = Attributes {
        application_id: "shop".into(),
        ..Attributes::default()
    };
    let frame = Frame::new(&Who::of_lines(&attributes).resource(), file, "0.1.0");
    let mut body = frame.head().to_vec();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        frame.put(*line, 1_767_323_045_000_000_000, &mut body);
    }
    body.extend_from_slice(FOOT);
    let body: Value = serde_json::from_slice(&body).unwrap();
    let resource = &body["resourceLogs"][0];
    assert_eq!(
        attribute(&resource["resource"]["attributes"], "service.name").unwrap()["stringValue"],
        "shop"
    );
    assert_eq!(resource["scopeLogs"][0]["scope"]["name"], "monopod");
    resource["scopeLogs"][0]["logRecords"].as_array().unwrap().clone()
}

#[test]
fn a_line_is_a_record() {
    let line = |time, stream, text| Line { time, stream, text };
    let all = records(
        &[
            line("2026-01-02T03:04:05.123456789Z", Stream::Stdout, "a \"b\"\u{1}\n"),
            line("2026-01-02T03:04:04Z", Stream::Stderr, ""),
            line("", Stream::Monopod, "monopod: 3 lines lost"),
        ],
        None,
    );
    assert_eq!(all[0]["timeUnixNano"], "1767323045123456789");
    // Not seen before it was written, whatever the clock says.
    assert_eq!(all[0]["observedTimeUnixNano"], "1767323045123456789");
    assert_eq!(all[0]["body"]["stringValue"], "a \"b\"\u{1}\n");
    assert!(all[0].get("severityNumber").is_none());
    assert_eq!(
        all[0]["attributes"],
        json!([{ "key": "log.iostream", "value": { "stringValue": "stdout" } }])
    );
    assert_eq!(all[1]["observedTimeUnixNano"], "1767323045000000000");
    assert_eq!(all[1]["attributes"][0]["value"]["stringValue"], "stderr");
    assert!(all[2].get("timeUnixNano").is_none());
    assert_eq!(
        (&all[2]["severityNumber"], &all[2]["severityText"]),
        (&json!(13), &json!("WARN"))
    );
    assert_eq!(
        attribute(&all[2]["attributes"], "monopod.gap").unwrap()["boolValue"],
        true
    );
    let of_file = records(&[line("", Stream::Stdout, "x")], Some("/var/log-custom/a.log"));
    let attributes = &of_file[0]["attributes"];
    assert_eq!(
        attribute(attributes, "log.file.name").unwrap()["stringValue"],
        "a.log"
    );
    assert_eq!(attribute(attributes, "log.iostream"), None);
}

#[test]
fn times_have_nanoseconds() {
    for (time, expected) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2026-11-21T14:00:00.123Z", Some(1_795_269_600_123_000_000)),
        ("2026-11-21T14:00:00.1234567891Z", Some(1_795_269_600_123_456_789)),
        ("2026-11-21T14:00:00.12x4Z", None),
        ("2026-11-21T14:00:00+01:00", None),
        ("9999-12-31T00:00:00Z", None),
        ("", None),
    ] {
        assert_eq!(nanoseconds(time), expected, "{time}");
    }
}

#[test]
fn an_exposition_is_read_as_it_was_written() {
    let text = "# HELP a_total Of \\\\ it.\n# TYPE a_total counter\na_total{x=\"1, }\\\"\\\\\\n\",y=\"\"} 3 1700000\na_total 4\n\nb 1e3\nno value\n# a remark\nc{x=\"1} 2\n# TYPE d histogram\nd_bucket{le=\"+Inf\"} 2\nd_sum +Inf\nd_count 2\nnan NaN\n";
    let families = read(text);
    let names: Vec<(&str, Kind, usize)> = families
        .iter()
        .map(|family| (family.name, family.kind, family.samples.len()))
        .collect();
    assert_eq!(
        names,
        [
            ("a_total", Kind::Counter, 2),
            ("b", Kind::Untyped, 1),
            ("d", Kind::Histogram, 3),
            ("nan", Kind::Untyped, 1),
        ]
    );
    let first = &families[0].samples[0];
    assert_eq!(
        first.labels,
        [("x", "1, }\"\\\n".to_owned()), ("y", String::new())]
    );
    assert!((first.value - 3.0).abs() < f64::EPSILON);
    assert!(families[2].samples[1].value.is_infinite());
}

fn metrics_of(text: &str) -> Vec<Value> {
    let starts = Starts {
        agent: 1_000,
        container: Some(2_000),
        machine: Some(500),
    };
    let body = metrics::body(text, &starts, 5_000, json!({}), "0.1.0").unwrap();
    let scope = &body["resourceMetrics"][0]["scopeMetrics"][0];
    assert_eq!(scope["scope"], json!({ "name": "monopod", "version": "0.1.0" }));
    scope["metrics"].as_array().unwrap().clone()
}

#[test]
fn each_kind_has_its_form() {
    let all = metrics_of(
        "# HELP monopod_x_bytes_total X.\n# TYPE monopod_x_bytes_total counter\nmonopod_x_bytes_total{a=\"b\"} 3\n# TYPE g_seconds gauge\ng_seconds 0.5\n# TYPE node_cpu_seconds_total counter\nnode_cpu_seconds_total 1\n# TYPE monopod_container_cpu_seconds_total counter\nmonopod_container_cpu_seconds_total 1\n# TYPE job_total counter\njob_total 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\nbad NaN\n",
    );
    let by_name = |name: &str| all.iter().find(|metric| metric["name"] == name).unwrap();
    assert_eq!(
        by_name("monopod_x_bytes_total"),
        &json!({
            "name": "monopod_x_bytes_total", "description": "X.", "unit": "By",
            "sum": { "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{
                "timeUnixNano": "5000000000", "startTimeUnixNano": "1000000000", "asDouble": 3.0,
                "attributes": [{ "key": "a", "value": { "stringValue": "b" } }],
            }] },
        })
    );
    assert_eq!(
        by_name("g_seconds"),
        &json!({ "name": "g_seconds", "unit": "s", "gauge": { "dataPoints": [{ "timeUnixNano": "5000000000", "asDouble": 0.5 }] } })
    );
    let start = |name: &str| {
        by_name(name)["sum"]["dataPoints"][0]
            .get("startTimeUnixNano")
            .cloned()
    };
    assert_eq!(start("node_cpu_seconds_total"), Some(json!("500000000")));
    assert_eq!(
        start("monopod_container_cpu_seconds_total"),
        Some(json!("2000000000"))
    );
    assert_eq!(start("job_total"), None);
    assert_eq!(
        by_name("h_bucket")["sum"]["dataPoints"].as_array().unwrap().len(),
        2
    );
    assert!(!all.iter().any(|metric| metric["name"] == "bad"));
    assert_eq!(metrics::body("", &Starts::default(), 1, json!({}), "1"), None);
}

/// Nothing of a scrape is left behind.
#[test]
fn everything_that_is_served_is_sent() {
    let record = full();
    let text = render(&Figures {
        record: &record,
        container: None,
        probes: None,
        denied: None,
        notices: None,
        process: None,
        host: None,
        textfiles: None,
        pushes: None,
    });
    let served = text.lines().filter(|line| !line.starts_with('#')).count();
    let sent: usize = metrics_of(&text)
        .iter()
        .map(|metric| {
            let (gauge, sum) = (&metric["gauge"]["dataPoints"], &metric["sum"]["dataPoints"]);
            gauge.as_array().or(sum.as_array()).unwrap().len()
        })
        .sum();
    assert!(served > 40, "{served}");
    assert_eq!(sent, served);
}

fn spans(record: &BootRecord) -> Vec<Value> {
    let body = trace::body(record, "boot-1", &json!({})).unwrap();
    body["resourceSpans"][0]["scopeSpans"][0]["spans"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn a_boot_is_a_trace() {
    let record = full();
    let all = spans(&record);
    assert_eq!(all.len(), 1 + record.steps.len());
    let root = &all[0];
    assert_eq!(
        (&root["name"], root.get("parentSpanId")),
        (&json!("monopod.boot"), None)
    );
    assert_eq!(root["status"], json!({ "code": 1 }));
    assert_eq!(root["traceId"].as_str().unwrap().len(), 32);
    for (key, value) in [
        ("monopod.boot.id", "boot-1"),
        ("monopod.boot.outcome", "ready"),
        ("monopod.application.id", "shop"),
    ] {
        assert_eq!(attribute(&root["attributes"], key).unwrap()["stringValue"], value);
    }
    let mut ids = std::collections::BTreeSet::new();
    for (span, step) in all[1..].iter().zip(&record.steps) {
        assert_eq!(span["traceId"], root["traceId"]);
        assert_eq!(span["parentSpanId"], root["spanId"]);
        assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
        assert!(ids.insert(span["spanId"].to_string()));
        assert_eq!(span["name"], format!("monopod.boot.{}", step.step.name()));
        assert_eq!(
            attribute(&span["attributes"], "monopod.step.retries").unwrap()["intValue"],
            step.retries.to_string()
        );
        let begin = record.agent_started_at + step.started_ms;
        assert_eq!(span["startTimeUnixNano"], format!("{begin}000000"));
        if let Some(took) = step.took_ms {
            assert_eq!(span["endTimeUnixNano"], format!("{}000000", begin + took));
        }
    }
    assert_eq!(all, spans(&record), "the same trace again");
    let body = trace::body(&record, "boot-2", &json!({})).unwrap();
    assert_ne!(
        body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"],
        root["traceId"]
    );
}

#[test]
fn a_boot_that_failed_says_where_and_why() {
    let mut record = BootRecord::new("0.1.0", 1, 1_000);
    assert_eq!(trace::body(&record, "b", &json!({})), None);
    record.apply(
        &Event::StepStarted {
            step: StepId::Image,
            does: "pull".into(),
        },
        1_500,
    );
    record.apply(
        &Event::StepStarted {
            step: StepId::Secrets,
            does: "fetch".into(),
        },
        1_600,
    );
    record.apply(
        &Event::StepFailed {
            step: StepId::Image,
            error: "no such image".into(),
            took: std::time::Duration::from_millis(400),
        },
        1_900,
    );
    record.apply(
        &Event::BootFailed {
            reason: "no image".into(),
            exit_code: 78,
        },
        2_000,
    );
    let all = spans(&record);
    let by_name = |name: &str| all.iter().find(|span| span["name"] == name).unwrap();
    let root = by_name("monopod.boot");
    assert_eq!(root["status"], json!({ "code": 2, "message": "no image" }));
    assert_eq!(
        attribute(&root["attributes"], "process.exit.code").unwrap()["intValue"],
        "78"
    );
    assert_eq!(
        (&root["startTimeUnixNano"], &root["endTimeUnixNano"]),
        (&json!("1000000000"), &json!("2000000000"))
    );
    let image = by_name("monopod.boot.image");
    assert_eq!(image["status"], json!({ "code": 2, "message": "no such image" }));
    // It was still at it.
    let secrets = by_name("monopod.boot.secrets");
    assert!(secrets.get("status").is_none());
    assert_eq!(secrets["endTimeUnixNano"], "2000000000");
    assert_eq!(
        attribute(&secrets["attributes"], "monopod.step.state").unwrap()["stringValue"],
        "running"
    );
    record.outcome = Outcome::Warm { since: 1 };
    assert_eq!(trace::body(&record, "b", &json!({})), None);
}

#[test]
fn each_answer_has_its_meaning() {
    let nothing = Verdict::Taken {
        rejected: 0,
        message: None,
    };
    for body in [
        "",
        " \n",
        "{}",
        "{\"partialSuccess\":{}}",
        "{\"partialSuccess\":{\"rejectedSpans\":\"0\",\"errorMessage\":\"\"}}",
    ] {
        assert_eq!(judge(200, None, body.as_bytes()), nothing, "{body}");
    }
    for body in [
        "{\"partialSuccess\":{\"rejectedLogRecords\":\"3\",\"errorMessage\":\"too\\nold\"}}",
        "{\"partialSuccess\":{\"rejectedLogRecords\":3,\"errorMessage\":\"too\\nold\"}}",
    ] {
        match judge(200, None, body.as_bytes()) {
            Verdict::Taken {
                rejected: 3,
                message: Some(message),
            } => assert!(!message.contains('\n'), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    // Somebody else's yes.
    assert!(matches!(
        judge(200, None, b"<html>"),
        Verdict::Denied { login: false, .. }
    ));
    for (status, throttled) in [
        (429, true),
        (500, false),
        (502, false),
        (503, false),
        (504, false),
        (408, false),
    ] {
        match judge(status, Some(" 7 "), b"") {
            Verdict::Busy {
                throttled: found,
                after: Some(7),
                said,
            } => {
                assert_eq!((found, said), (throttled, format!("HTTP {status}")));
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    let after = |text: &str| match judge(503, Some(text), b"") {
        Verdict::Busy { after, .. } => after,
        other => panic!("{other:?}"),
    };
    assert_eq!(after("100000"), Some(300), "nobody is obeyed for a day");
    assert_eq!(after("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    assert!(matches!(judge(413, None, b""), Verdict::TooLarge { .. }));
    for (status, login) in [(401, true), (403, true), (404, false), (415, false), (302, false)] {
        match judge(status, None, b"") {
            Verdict::Denied { login: found, .. } => assert_eq!(found, login, "{status}"),
            other => panic!("{status}: {other:?}"),
        }
    }
    assert_eq!(
        judge(400, None, b"{\"code\":3,\"message\":\"bad \\u0000 data\"}"),
        Verdict::Refused {
            said: "HTTP 400, bad \u{b7} data".into()
        }
    );
}
