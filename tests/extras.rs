//! What the machine does beside the container: its entry in etcd, metrics in CloudWatch, and the addresses of services of
//! its own in the container's environment.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use monopod_testrig::{Agent, AwsFault, Machine, Service, Signal, wait_until};
use serde_json::{Value, json};

use crate::common::*;

/// etcd forgets a key after 15 s, and has a look once a second or so.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// The key is written every 30 s.
const REWRITTEN: Duration = Duration::from_secs(45);
/// The first metrics come up to 20 s after the start.
const FIRST_METRICS: Duration = Duration::from_secs(45);

const GLOBAL: &str = "https://tokeninfo.example.org/oauth2/tokeninfo";

/// A variable of the container's.
fn variable(machine: &Machine, name: &str) -> Option<String> {
    let container = the_container(machine);
    let all = container["Config"]["Env"].as_array().unwrap();
    let mut values = all
        .iter()
        .filter_map(|one| one.as_str()?.strip_prefix(name)?.strip_prefix('='));
    let value = values.next().map(str::to_owned);
    assert_eq!(values.next(), None, "{name} is set twice");
    value
}

fn gateway(machine: &Machine) -> String {
    machine.docker_ok(&[
        "network",
        "inspect",
        "bridge",
        "--format",
        "{{(index .IPAM.Config 0).Gateway}}",
    ])
}

/// etcd on the machine, as `etcd_discovery_domain: disable` expects it, with its data in a folder of this name.
fn etcd(machine: &Machine, data: &str) -> Agent {
    let data = machine.dirs().base.join(data).display().to_string();
    let etcd = machine.spawn(
        Path::new("/usr/bin/etcd"),
        &[
            "--data-dir",
            &data,
            "--listen-client-urls",
            "http://0.0.0.0:2379",
            "--advertise-client-urls",
            "http://127.0.0.1:2379",
            "--listen-peer-urls",
            "http://127.0.0.1:2380",
        ],
    );
    let up = wait_until(SOON, || {
        machine
            .http_get(2379, "/health")
            .ok()
            .filter(|one| one.status == 200)
    });
    assert!(up.is_some(), "etcd is not there:\n{}", etcd.output());
    etcd
}

/// One key of etcd's.
#[derive(Debug)]
struct Entry {
    key: String,
    value: String,
    leased: bool,
    /// Goes up when the key is made, not when it is written again.
    made: String,
}

/// What etcd answers when it is asked to do this with everything it holds.
fn with_all(machine: &Machine, what: &str) -> Value {
    let body = json!({ "key": BASE64.encode("\0"), "range_end": BASE64.encode("\0") }).to_string();
    let answer = machine.inside(|| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 2379))?;
        stream.set_read_timeout(Some(SOON))?;
        let length = body.len();
        write!(
            stream,
            "POST /v3/kv/{what} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = answer.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Everything etcd holds.
fn entries(machine: &Machine) -> Vec<Entry> {
    let body = with_all(machine, "range");
    let text = |value: &Value| {
        let bytes = BASE64.decode(value.as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let all = body["kvs"].as_array().into_iter().flatten();
    all.map(|one| Entry {
        key: text(&one["key"]),
        value: text(&one["value"]),
        leased: one["lease"].is_string(),
        made: one["create_revision"].as_str().unwrap().to_owned(),
    })
    .collect()
}

fn wait_entry(machine: &Machine, agent: &Agent) -> Entry {
    let mut found = wait_until(SOON, || Some(entries(machine)).filter(|all| !all.is_empty()))
        .unwrap_or_else(|| panic!("no entry:\n{}", agent.output()));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn wait_no_entry(machine: &Machine, agent: &Agent, within: Duration) {
    let gone = wait_until(within, || entries(machine).is_empty().then_some(()));
    assert!(gone.is_some(), "{:?}\n{}", entries(machine), agent.output());
}

fn warnings(agent: &Agent, words: &str) -> usize {
    let output = agent.output();
    output
        .lines()
        .filter(|line| line.contains(" WARN ") && line.contains(words))
        .count()
}

#[test]
fn a_healthy_machine_is_registered_in_etcd() {
    let machine = Machine::acquire();
    let etcd = etcd(&machine, "etcd");
    UserData::new(&machine, "web")
        .web()
        .env(&[("PASSWORD", "hunter2canary"), ("ETCD_URL", "mine")])
        .line("etcd_discovery_domain: disable")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let entry = wait_entry(&machine, &agent);
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let start = format!("/taupage/{}", hostname.trim());
    assert!(entry.key.starts_with(&start) && entry.leased, "{entry:?}");
    let value: Value = serde_json::from_str(&entry.value).unwrap();
    assert_eq!(
        (
            &value["application_id"],
            &value["ports"],
            &value["health_check_path"]
        ),
        (&json!("app"), &json!({ "8080": 8080 }), &json!("/health"))
    );
    assert!(!entry.value.contains("hunter2canary"), "{}", entry.value);
    let url = format!("http://{}:2379", gateway(&machine));
    assert_eq!(variable(&machine, "ETCD_URL"), Some(url));

    // Somebody deletes the key, and its lease lives on: it comes back.
    with_all(&machine, "deleterange");
    let back = wait_until(REWRITTEN, || entries(&machine).pop());
    let entry = back.unwrap_or_else(|| panic!("never written again:\n{}", agent.output()));
    assert!(entry.leased && entry.key.starts_with(&start), "{entry:?}");

    // A machine without its container is nobody to send work to; with another one it is.
    machine.docker_ok(&["rm", "--force", CONTAINER]);
    let again = wait_until(BOOT, || {
        entries(&machine).into_iter().find(|one| one.made != entry.made)
    });
    let again = again.unwrap_or_else(|| panic!("never given back:\n{}", agent.output()));

    // The agent's own restart takes no machine out: the key stays until it is written anew.
    agent.kill9();
    agent.wait_exit(SOON);
    let agent = run_until_ready(&machine);
    assert_eq!(wait_entry(&machine, &agent).made, again.made);

    // An agent that is gone for good takes the key along.
    agent.kill9();
    agent.wait_exit(SOON);
    assert_eq!(entries(&machine).len(), 1);
    wait_no_entry(&machine, &agent, FORGOTTEN);
    drop(etcd);
}

#[test]
fn a_machine_that_is_not_healthy_is_not_registered() {
    let machine = Machine::acquire();
    let first = etcd(&machine, "one");
    let user_data = |image: &str| {
        UserData::new(&machine, image)
            .web()
            .line("health_check_timeout_seconds: 5")
            .line("restart: never")
            .line("etcd_discovery_domain: disable")
            .serve(&machine);
    };
    user_data("never-healthy");
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    assert!(entries(&machine).is_empty());
    agent.kill9();
    agent.wait_exit(SOON);

    drop(first);
    machine.reboot();
    let second = etcd(&machine, "two");
    user_data("service");
    let agent = run_until_ready(&machine);
    wait_entry(&machine, &agent);
    Service::at(&machine, 8080).exit(3);
    // The lease has ten seconds left at least: it is given back.
    wait_no_entry(&machine, &agent, Duration::from_secs(8));
    drop(second);
}

#[test]
fn an_etcd_that_is_away_is_told_once_and_ends_nothing() {
    const AWAY: &str = "in etcd can't be seen to";
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .line("etcd_discovery_domain: disable")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    agent.wait_for_line(AWAY, SOON);
    let first = etcd(&machine, "one");
    let entry = wait_entry(&machine, &agent);
    agent.wait_for_line("up to date again", SOON);
    assert_eq!(warnings(&agent, AWAY), 1);

    // One that hangs is another time.
    first.signal(Signal::SIGSTOP);
    agent.wait_for_nth_line(AWAY, 2, SOON);
    first.signal(Signal::SIGCONT);
    agent.wait_for_nth_line("up to date again", 2, SOON);
    assert_eq!(wait_entry(&machine, &agent).key, entry.key);

    // One that has lost everything knows no lease.
    first.kill9();
    first.wait_exit(SOON);
    let second = etcd(&machine, "two");
    wait_entry(&machine, &agent);
    assert!(is_running(&the_container(&machine)) && agent.running());
    drop(second);
}

/// A tokeninfo service on every address of the machine, until the test process ends.
fn tokeninfo(machine: &Machine) {
    let listener = machine
        .inside(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 9021)))
        .unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap_or(0);
            let status = match request[..read].starts_with(b"GET /health HTTP/1.1\r\n") {
                true => "200 OK",
                false => "404 Not Found",
            };
            drop(write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ));
        }
    });
}

#[test]
fn a_tokeninfo_service_of_the_machine_is_waited_for() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper")
        .line(&format!("tokeninfo_url: {GLOBAL}"))
        .line("local_planb_tokeninfo: true")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line("waiting for the machine's tokeninfo service", BOOT);
    assert!(machine.containers().is_empty());
    tokeninfo(&machine);
    wait_ready(&machine, &agent);
    let url = format!("http://{}:9021/oauth2/tokeninfo", gateway(&machine));
    assert_eq!(variable(&machine, "TOKENINFO_URL"), Some(url.clone()));
    // The container reaches it there.
    let asked = machine.docker(&["exec", CONTAINER, "/bin/busybox", "wget", "-O", "-", &url]);
    let answer = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(answer.contains("404"), "{answer}");
}

#[test]
fn without_one_it_is_the_global_url_and_stays_so() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper")
        .line(&format!("tokeninfo_url: {GLOBAL}"))
        .line("local_planb_tokeninfo: true")
        .line("boot_timeout: 40")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    assert_eq!(variable(&machine, "TOKENINFO_URL").as_deref(), Some(GLOBAL));
    assert_eq!(
        warnings(&agent, "TOKENINFO_URL of this container is `tokeninfo_url`"),
        1
    );
    let id = container_id(&machine);
    agent.kill9();
    agent.wait_exit(SOON);

    // That the service is there now makes it no other container: neither for this boot nor for the next.
    tokeninfo(&machine);
    machine.reboot();
    let agent = run_until_ready(&machine);
    assert_eq!(container_id(&machine), id, "{}", agent.output());
}

#[test]
fn what_the_environment_says_counts() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper")
        .env(&[("TOKENINFO_URL", "mine")])
        .line("local_planb_tokeninfo: true")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    assert_eq!(variable(&machine, "TOKENINFO_URL").as_deref(), Some("mine"));
    assert!(
        !agent.output().contains("tokeninfo service"),
        "nobody is waited for"
    );
}

#[test]
fn memory_and_disk_are_metrics_of_cloudwatch() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper")
        .line("enhanced_cloudwatch_metrics: true")
        .line("lifecycle_hooks: {group: shop, terminate: leave}")
        .serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("PutMetricData", "AccessDenied").times(1)]);
    let agent = run_until_ready(&machine);
    let line = agent.wait_for_line("metrics of memory and disk were not written", FIRST_METRICS);
    assert!(line.text.contains("cloudwatch:PutMetricData"), "{}", line.text);

    // A restarted agent knows that they are wanted, without asking anybody.
    agent.kill9();
    agent.wait_exit(SOON);
    machine.imds().down();
    let agent = run_until_ready(&machine);
    let sent = wait_until(FIRST_METRICS, || {
        Some(machine.aws().metrics()).filter(|metrics| !metrics.is_empty())
    });
    let sent = sent.unwrap_or_else(|| panic!("no metrics:\n{}", agent.output()));
    let id = machine.imds().instance_id();
    let names: Vec<(&str, &str, bool)> = sent
        .iter()
        .map(|one| {
            assert_eq!(
                (&*one.namespace, one.unit.as_deref()),
                ("System/Linux", Some("Percent"))
            );
            assert!(
                one.value.is_some_and(|value| value > 0.0 && value < 100.0),
                "{one:?}"
            );
            let on_disk = one.dimensions.get("MountPath").is_some_and(|path| path == "/")
                && one.dimensions.contains_key("Filesystem");
            let group = one.dimensions.get("AutoScalingGroupName").map(String::as_str);
            let owner = match group {
                Some(group) => group,
                None if one.dimensions["InstanceId"] == id => "this instance",
                None => "another",
            };
            (&*one.name, owner, on_disk)
        })
        .collect();
    assert_eq!(
        names,
        [
            ("MemoryUtilization", "this instance", false),
            ("MemoryUtilization", "shop", false),
            ("DiskSpaceUtilization", "this instance", true),
            ("DiskSpaceUtilization", "shop", true),
        ]
    );
    assert_eq!(machine.aws().calls_of("PutMetricData"), 2, "one call each");
}
