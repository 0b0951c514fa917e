//! The container's firewall where it works: in a unit with one capability and a sandbox around it.

use monopod_testrig::RealMachine;

use super::*;

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn rules_are_loaded_in_the_sandbox_and_come_back() {
    let machine = RealMachine::new();
    user_data(&machine, "web")
        .web()
        .line("instance_metadata: false")
        .give(&machine);
    machine.boot();
    machine.wait_ready(BOOT);
    assert_eq!(machine.unit("monopod-firewall.service", "ActiveState"), "active");
    let table = || {
        machine
            .run(&["nft", "list", "table", "inet", "monopod"])
            .status
            .success()
    };
    assert!(table(), "{}", machine.journal("monopod-firewall.service"));
    // The declared port is open; instance metadata answers the machine, and not the container.
    assert_eq!(machine.http_get(8080, "/health").unwrap().status, 200);
    let metadata = "http://169.254.169.254/";
    let answered = |output: &std::process::Output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Without a token it is refused, by an answer.
        output.status.success() || said.contains("401") || said.contains("404")
    };
    assert!(answered(&machine.run(&[
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        metadata
    ])));
    // From the container's network: its image has no client.
    let pid = the_container(&machine)["State"]["Pid"].to_string();
    let inside = machine.run(&[
        "nsenter",
        "--target",
        &pid,
        "--net",
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "5",
        metadata,
    ]);
    assert!(!answered(&inside), "{inside:?}");
    let refused = machine.run_ok(&["nft", "list", "counter", "inet", "monopod", "denied_metadata"]);
    assert!(!refused.contains("packets 0 "), "{inside:?}: {refused}");

    // Somebody loads rules of another kind.
    machine.run_ok(&["nft", "delete", "table", "inet", "monopod"]);
    wait_for("the table again", SOON, || table().then_some(()));
    // Rules are the kernel's: who holds them may go, and knows them when it is back.
    machine.run_ok(&["systemctl", "stop", "monopod-firewall.service"]);
    assert!(table());
    let shown = machine.run_ok(&["monopod", "firewall", "show"]);
    println!("{shown}");
    assert_eq!(machine.unit("monopod-firewall.service", "ActiveState"), "active");
}
