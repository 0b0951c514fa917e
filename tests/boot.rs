//! The story of the README, from user data to READY, and what everybody was told on the way.

use monopod_testrig::{Machine, Token};

use crate::common::*;

const PASSWORD: &str = "canary-database-password";

fn ready() -> (Machine, monopod_testrig::Agent) {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .env(&[
            ("DB_PASSWORD", &machine.aws().encrypt(PASSWORD)),
            ("GREETING", "hello"),
        ])
        .serve(&machine);
    let agent = run_until_ready(&machine);
    (machine, agent)
}

#[test]
fn user_data_in_one_healthy_hardened_container_out() {
    let (machine, agent) = ready();

    let calls = machine.imds().calls();
    assert!(
        calls
            .iter()
            .any(|call| call.path == "/latest/user-data" && call.token == Token::Good)
    );
    assert_eq!(machine.aws().decrypt_calls(), 1);

    let container = the_container(&machine);
    assert!(is_running(&container));
    let host = &container["HostConfig"];
    assert_eq!(container["Config"]["User"], "999");
    assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["RestartPolicy"]["Name"], "no");
    assert_eq!(host["PidsLimit"], 4096);
    assert_eq!(host["Memory"], host["MemorySwap"]);
    assert!(host["Memory"].as_u64().unwrap() > 0);
    assert_eq!(host["SecurityOpt"], serde_json::json!(["no-new-privileges"]));
    assert_eq!(host["LogConfig"]["Type"], "json-file");

    // What the kernel says, not what was asked for.
    let kernel = machine.process_status(CONTAINER).unwrap();
    let field = |name: &str| {
        kernel
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    assert!(field("Uid:").starts_with("999"), "{kernel}");
    for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");

    let environment = container["Config"]["Env"].to_string();
    assert!(
        environment.contains(&format!("DB_PASSWORD={PASSWORD}")) && environment.contains("GREETING=hello")
    );
    assert!(environment.contains("APPLICATION_ID=app") && environment.contains("APPLICATION_VERSION=1.0"));

    assert_eq!(machine.http_get(8080, "/health").unwrap().status, 200);
    machine.syslog().wait_for("app: web line 1", SOON);
    assert!(agent.running());
}

#[test]
fn it_runs_by_digest_whatever_the_tag_says_later() {
    let (machine, _agent) = ready();
    let container = the_container(&machine);
    let image = container["Config"]["Image"].as_str().unwrap();
    assert!(
        image.ends_with(&format!("@{}", machine.registry().digest("web"))),
        "{image}"
    );
    assert_eq!(
        container["Config"]["Labels"]["org.monopod.digest"]
            .as_str()
            .unwrap(),
        machine.registry().digest("web")
    );
}

#[test]
fn systemd_hears_every_step_before_ready() {
    let (machine, _agent) = ready();
    let lines = machine.notify().lines();
    let at = |start: &str| {
        lines
            .iter()
            .position(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("{start} in {lines:#?}"))
    };
    let ready = at("READY=1");
    for step in [
        "engine",
        "facts",
        "config",
        "secrets",
        "image",
        "container",
        "health",
    ] {
        assert!(at(&format!("STATUS={step}:")) < ready, "{step}");
    }
}

#[test]
fn the_status_tells_what_runs_and_how_the_boot_went() {
    let (machine, agent) = ready();
    let shown = status(&machine);
    assert_eq!(shown["outcome"]["state"], "ready");
    assert_eq!(shown["application"]["id"], "app");
    assert_eq!(shown["agent_running"], true);
    assert_eq!(shown["agent_pid"], agent.pid());
    assert_eq!(shown["facts"]["instance_id"], machine.imds().instance_id());
    assert_eq!(shown["container"]["id"], container_id(&machine));
    let steps: Vec<&str> = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "engine",
            "facts",
            "config",
            "firewall",
            "secrets",
            "image",
            "container",
            "health",
            "ready"
        ]
    );
    assert!(shown["steps"].as_array().unwrap().iter().all(
        |step| step["state"] == "done" && step["took_ms"].is_u64()
                // There is no such unit here, and nothing asks for it.
                || step["step"] == "firewall" && step["state"] == "skipped"
    ));

    let text = machine.monopod(binary(), &["status"]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("app 1.0: ready for"), "{text}");
}

#[test]
fn no_secret_is_told_to_anybody() {
    let (machine, agent) = ready();
    let all = everything_told(&machine, &agent);
    assert!(
        !all.contains(PASSWORD) && !all.contains(monopod_testrig::REGISTRY_PASSWORD),
        "{all}"
    );
    assert!(all.contains("DB_PASSWORD"), "the names are told");
}

#[test]
fn facts_and_user_data_may_come_from_files() {
    let machine = Machine::acquire();
    machine.imds().down();
    let (facts, user_data) = (
        machine.dirs().base.join("facts.yaml"),
        machine.dirs().base.join("app.yaml"),
    );
    std::fs::write(
        &facts,
        "instance_id: i-local\nregion: eu-central-1\navailability_zone: eu-central-1a\naccount_id: \"123456789012\"\n",
    )
    .unwrap();
    std::fs::write(&user_data, UserData::new(&machine, "web").web().text()).unwrap();
    let (facts, user_data) = (facts.display().to_string(), user_data.display().to_string());
    let agent = run_with(&machine, &["--facts", &facts, "--user-data", &user_data]);
    wait_ready(&machine, &agent);
    assert!(machine.imds().calls().is_empty());
    assert_eq!(status(&machine)["facts"]["instance_id"], "i-local");
}
