//! User data in, the engine's view of the container out.

use monopod_testrig::Machine;
use serde_json::json;

use crate::common::*;

/// Boots to READY and gives what the engine shows.
fn made(image: &str, lines: &[&str]) -> (Machine, serde_json::Value) {
    let machine = Machine::acquire();
    let user_data = lines
        .iter()
        .fold(UserData::new(&machine, image), |all, line| all.line(line));
    user_data.serve(&machine);
    let agent = run_until_ready(&machine);
    let container = the_container(&machine);
    drop(agent);
    (machine, container)
}

#[test]
fn read_only_has_a_tmp() {
    let (machine, container) = made("web", &["read_only: true"]);
    assert_eq!(container["HostConfig"]["ReadonlyRootfs"], true);
    machine.docker_ok(&["exec", CONTAINER, "/bin/busybox", "touch", "/tmp/x"]);
    assert!(
        !machine
            .docker(&["exec", CONTAINER, "/bin/busybox", "touch", "/x"])
            .status
            .success()
    );
}

#[test]
fn root_keeps_the_images_user_and_docker_s_capabilities() {
    let (machine, container) = made("web", &["root: true"]);
    assert_eq!(container["Config"]["User"], "");
    let kernel = machine.process_status(CONTAINER).unwrap();
    assert!(kernel.contains("Uid:\t0\t0"), "{kernel}");
    assert!(kernel.contains("CapEff:\t00000000a80425fb"), "{kernel}");
}

#[test]
fn added_capabilities_turn_no_new_privileges_off_and_say_so() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .line("capabilities_add: [NET_BIND_SERVICE]")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let host = the_container(&machine)["HostConfig"].clone();
    assert_eq!(host["CapAdd"], json!(["NET_BIND_SERVICE"]));
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["SecurityOpt"], json!(null));
    assert!(
        agent
            .output()
            .contains("opened: capabilities_add, instance_metadata"),
        "{}",
        agent.output()
    );
}

#[test]
fn ports_hostname_network_and_shm() {
    let (machine, container) = made(
        "web",
        &[
            "ports: {\"8081\": 8080, \"9000/udp\": 9000}",
            "hostname: box",
            "shm_size: 32m",
        ],
    );
    assert_eq!(container["Config"]["Hostname"], "box");
    assert_eq!(container["HostConfig"]["ShmSize"], 32 << 20);
    assert_eq!(
        container["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"],
        "8081"
    );
    assert_eq!(
        container["HostConfig"]["PortBindings"]["9000/udp"][0]["HostPort"],
        "9000"
    );
    assert_eq!(machine.http_get(8081, "/health").unwrap().status, 200);
}

#[test]
fn the_machine_s_own_network() {
    let (machine, container) = made(
        "web",
        &[
            "networking: host",
            "health_check_path: /health",
            "health_check_port: 8080",
        ],
    );
    assert_eq!(container["HostConfig"]["NetworkMode"], "host");
    assert_eq!(machine.http_get(8080, "/health").unwrap().status, 200);
}

#[test]
fn environment_reads_as_taupage_wrote_it() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .line("environment:\n  BOOL: yes\n  OCTAL: 0755\n  TIME: 22:30\n  BIG: 1_000\n  VERSION: 6478e18\n  NOTHING: null\n  QUOTED: \"0755\"")
        .serve(&machine);
    let _agent = run_until_ready(&machine);
    let environment: Vec<String> =
        serde_json::from_value(the_container(&machine)["Config"]["Env"].clone()).unwrap();
    for pair in [
        "BOOL=True",
        "OCTAL=493",
        "TIME=1350",
        "BIG=1000",
        "VERSION=6478e18",
        "NOTHING=None",
        "QUOTED=0755",
    ] {
        assert!(
            environment.iter().any(|one| one == pair),
            "{pair} in {environment:?}"
        );
    }
}
