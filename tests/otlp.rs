//! Lines, metrics and the boot as a trace, as a receiver of OTLP gets them from a machine. Every body is judged by the
//! protocol's own schema.

use monopod_testrig::{Machine, OTLP_TOKEN, OtlpFault, OtlpServer, Where, wait_until};
use serde_json::Value;

use crate::common::*;

/// What asks for all of it; the key lies in Parameter Store.
fn asking(machine: &Machine, server: &OtlpServer) -> String {
    let token = machine
        .aws()
        .put_parameter("otlp", &format!("Bearer {OTLP_TOKEN}"));
    format!(
        "otlp: {{endpoint: '{}', interval: 10s, headers: {{Authorization: '{token}'}}}}",
        server.url()
    )
}

fn attribute<'v>(of: &'v Value, key: &str) -> &'v Value {
    let all = of["attributes"].as_array().unwrap_or_else(|| panic!("{of:#}"));
    let found = all.iter().find(|one| one["key"] == key);
    &found.unwrap_or_else(|| panic!("no {key} in {of:#}"))["value"]
}

fn spans(body: &Value) -> Vec<Value> {
    body["resourceSpans"][0]["scopeSpans"][0]["spans"]
        .as_array()
        .unwrap()
        .clone()
}

fn nanos(span: &Value, key: &str) -> u64 {
    span[key].as_str().unwrap().parse().unwrap()
}

/// Whether it is a push that calls the machine up.
fn is_up(body: &Value) -> bool {
    let metrics = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array();
    metrics.into_iter().flatten().any(|metric| {
        let value = metric["gauge"]["dataPoints"][0]["asDouble"].as_f64();
        metric["name"] == "monopod_up" && value.is_some_and(|value| value > 0.0)
    })
}

fn nothing_was_wrong(server: &OtlpServer) {
    assert_eq!(server.problems(), Vec::<String>::new());
}

fn traces(server: &OtlpServer) -> usize {
    let all = server.requests();
    all.iter()
        .filter(|one| one.signal == "traces" && one.taken)
        .count()
}

#[test]
fn a_machine_tells_lines_metrics_and_its_boot() {
    let machine = Machine::acquire();
    let server = OtlpServer::start(Where::Machine(&machine));
    server.asks_for_token();
    UserData::new(&machine, "web")
        .web()
        .line(&asking(&machine, &server))
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let facts = status(&machine)["facts"].clone();

    let line = server.wait_for("web line 1", BOOT);
    for (key, value) in [
        ("service.name", "app"),
        ("host.id", facts["instance_id"].as_str().unwrap()),
        ("cloud.region", facts["region"].as_str().unwrap()),
        ("container.id", container_id(&machine).as_str()),
    ] {
        assert_eq!(attribute(&line["resource"], key)["stringValue"], value);
    }
    assert!(line["timeUnixNano"].is_string() && line.get("severityNumber").is_none());

    let trace = server.wait_for_request("traces", "monopod.boot", BOOT).body;
    let spans = spans(&trace);
    let root = spans.iter().find(|span| span["name"] == "monopod.boot").unwrap();
    assert_eq!(attribute(root, "monopod.boot.outcome")["stringValue"], "ready");
    let steps = status(&machine)["steps"].as_array().unwrap().clone();
    assert_eq!(spans.len(), 1 + steps.len());
    for step in &steps {
        let name = format!("monopod.boot.{}", step["step"].as_str().unwrap());
        let span = spans.iter().find(|span| span["name"] == name).unwrap();
        assert_eq!(span["parentSpanId"], root["spanId"], "{name}");
        assert_eq!(span["traceId"], root["traceId"], "{name}");
        let (begin, end) = (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano"));
        assert_eq!(
            end - begin,
            step["took_ms"].as_u64().unwrap() * 1_000_000,
            "{name}"
        );
        assert!(begin >= nanos(root, "startTimeUnixNano"), "{name}");
    }

    // The first push has its own moment, which may be before the machine is up.
    let metrics = wait_until(BOOT, || {
        server.requests().into_iter().find(|one| is_up(&one.body))
    });
    let metrics = metrics.unwrap_or_else(|| panic!("{:?}", server.problems())).body;
    let metrics = &metrics["resourceMetrics"][0];
    assert_eq!(
        attribute(&metrics["resource"], "service.instance.id")["stringValue"],
        facts["instance_id"]
    );
    let metrics = metrics["scopeMetrics"][0]["metrics"].as_array().unwrap().clone();
    let of_name = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap();
    let cpu = &of_name("process_cpu_seconds_total")["sum"];
    assert_eq!(
        (&cpu["isMonotonic"], &cpu["aggregationTemporality"]),
        (&true.into(), &2.into())
    );
    let point = &cpu["dataPoints"][0];
    assert!(nanos(point, "startTimeUnixNano") < nanos(point, "timeUnixNano"));

    nothing_was_wrong(&server);
    let leaks = machine.leaks(OTLP_TOKEN);
    assert!(leaks.is_empty(), "{leaks:#?}");
    // A new agent of the same boot has nothing to tell of it.
    drop(agent);
    let agent = run_until_ready(&machine);
    let pushed = server.requests().len();
    server.wait_for_requests(pushed + 2, BOOT);
    assert_eq!(traces(&server), 1);
    drop(agent);
}

/// In order and complete, rotations and all; what a kill repeats is a parcel at most.
#[test]
fn every_line_over_rotations_a_kill_and_a_restart() {
    let machine = Machine::acquire();
    let server = OtlpServer::start(Where::Machine(&machine));
    UserData::new(&machine, "chatty")
        .env(&[("LINES", "20000")])
        .line("log_budget: 8M")
        .line(&asking(&machine, &server))
        .serve(&machine);
    let agent = run_until_ready(&machine);
    drop(server.wait_for("0", BOOT));
    agent.kill9();
    drop(agent);
    server.faults(&[OtlpFault::answer(503).times(2), OtlpFault::cut().times(1)]);
    let _agent = run_until_ready(&machine);
    drop(server.wait_for("chatty done", BOOT));
    let mut numbers: Vec<u32> = server
        .texts()
        .iter()
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    let arrived = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (1..=20_000).collect::<Vec<u32>>());
    // A request has 2,000 lines at most, a parcel a batch more than half a megabyte of them.
    assert!(arrived - numbers.len() <= 20_000, "{arrived}");
    nothing_was_wrong(&server);
}

#[test]
fn user_data_that_is_wrong_is_a_trace_of_a_failure() {
    let machine = Machine::acquire();
    let server = OtlpServer::start(Where::Machine(&machine));
    server.asks_for_token();
    UserData::new(&machine, "web")
        .web()
        .line(&asking(&machine, &server))
        .line("memory: not-a-size")
        .serve(&machine);
    let agent = run(&machine);
    assert_eq!(agent.wait_exit(BOOT), 78);
    assert_eq!(traces(&server), 1, "{}", agent.output());
    let spans = spans(&server.wait_for_request("traces", "monopod.boot", SOON).body);
    let of_name = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let root = of_name("monopod.boot");
    assert_eq!(root["status"]["code"], 2);
    assert!(
        root["status"]["message"].as_str().unwrap().contains("memory"),
        "{root:#}"
    );
    assert_eq!(attribute(root, "process.exit.code")["intValue"], "78");
    let config = of_name("monopod.boot.config");
    assert_eq!(
        (&config["status"]["code"], &config["parentSpanId"]),
        (&2.into(), &root["spanId"])
    );
    nothing_was_wrong(&server);
}

/// Nobody at the far end: the boot does not notice, the trace outlives the agent, and pushes are counted, not kept.
#[test]
fn no_boot_waits_for_a_receiver() {
    let machine = Machine::acquire();
    let server = OtlpServer::start(Where::Machine(&machine));
    server.down();
    UserData::new(&machine, "web")
        .web()
        .line(&asking(&machine, &server))
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let told = || {
        agent
            .output()
            .contains("metrics were not sent by OTLP")
            .then_some(())
    };
    wait_until(BOOT, told).unwrap_or_else(|| panic!("{}", agent.output()));
    assert!(is_ready(&machine));
    agent.kill9();
    drop(agent);
    server.up();
    let _agent = run_until_ready(&machine);
    let trace = server.wait_for_request("traces", "monopod.boot", BOOT).body;
    let image = spans(&trace)
        .into_iter()
        .find(|span| span["name"] == "monopod.boot.image")
        .unwrap();
    // The first agent's, which pulled it.
    assert_eq!(attribute(&image, "monopod.step.state")["stringValue"], "done");
    drop(server.wait_for("web line 1", BOOT));
    drop(server.wait_for_request("metrics", "monopod_otlp_pushes_total", BOOT));
    nothing_was_wrong(&server);
}
