//! A receiver that is away, slow, full, or does not know us.

use std::net::TcpListener;
use std::sync::mpsc;

use super::*;

#[tokio::test]
async fn a_bad_moment_is_waited_out() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    receiver.next([Act::Status(500), Act::Status(429), Act::Cut]);
    let _audit = machine.start(&receiver);
    machine.reporter.tell(Event::Ready { text: "up".into() });
    until("both", || receiver.bodies().len() == 5).await;
    // The one whose answer was lost came twice, and nobody can know.
    assert_eq!(receiver.of("USER_DATA").len(), 4);
    assert_eq!(receiver.of("BOOT_RECORD").len(), 1);
    let warnings = machine.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("audit records wait on this machine: "),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_receiver_that_is_not_there_yet_gets_everything_later() {
    let machine = Machine::new();
    let log = machine.log("audit.log.3.gz", &gzip("x"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let audit = machine.start_at(&format!("http://{address}/instance-logs"));
    machine.fail_boot();
    let begun = Instant::now();
    audit.flush(begun + Duration::from_secs(1), Live::Stays).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(!gone(&log));
    let receiver = Receiver::on(TcpListener::bind(address).unwrap());
    until("all of it", || receiver.bodies().len() == 3 && gone(&log)).await;
    drop(audit);
}

/// The agent exits before anybody took the record; the next one tells it, the failure's own and not what is now.
#[tokio::test]
async fn how_a_boot_failed_outlives_the_agent_and_a_reboot() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    let (answer, word) = mpsc::channel();
    receiver.next([Act::After(word, 500)]);
    let audit = machine.start(&receiver);
    until("a call that hangs", || receiver.bodies().len() == 1).await;
    machine.fail_boot();
    let begun = Instant::now();
    audit.flush(begun + Duration::from_secs(2), Live::Stays).await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "a flush keeps its deadline"
    );
    drop(audit);
    drop(answer);

    let mut next = Machine::new();
    next.boot_id = NEXT_BOOT;
    let state = next.base.join("state/audit");
    fs::create_dir_all(&state).unwrap();
    for name in crate::host::files::names(&machine.base.join("state/audit")).unwrap() {
        fs::copy(machine.base.join("state/audit").join(&name), state.join(&name)).unwrap();
    }
    let receiver = Receiver::start();
    let _audit = next.start(&receiver);
    until("the failure", || receiver.of("BOOT_RECORD").len() == 1).await;
    let record: Value = serde_json::from_slice(&receiver.of("BOOT_RECORD")[0].data).unwrap();
    assert_eq!(record["outcome"]["state"], "failed");
    assert_eq!(record["outcome"]["reason"], "the engine is away");
    assert_eq!(record["boot_id"], BOOT);
    until("no record waits", || {
        crate::host::files::names(&state).unwrap() == ["marks.json"]
    })
    .await;
}

#[tokio::test]
async fn who_is_not_known_is_told_once_and_goes_with_the_next_login_that_works() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    receiver.next([Act::Status(401)]);
    let _audit = machine.start(&receiver);
    until("it is told", || machine.warnings().len() == 1).await;
    let warning = machine.warnings().remove(0);
    assert!(warning.contains("`logsink_password`"), "{warning}");
    assert!(
        !warning.contains("hunter2") && !warning.contains("aHVudGVy"),
        "{warning}"
    );
    machine.reporter.tell(Event::Ready { text: "up".into() });
    // The record is taken, and with it the login is good.
    until("both", || receiver.of("USER_DATA").len() == 2).await;
    assert_eq!(receiver.of("BOOT_RECORD").len(), 1);
    assert_eq!(machine.warnings().len(), 1);
}

#[tokio::test]
async fn what_is_refused_is_kept_and_told_once_and_holds_up_nothing() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    let log = machine.log("audit.log.1.gz", &gzip("x"));
    // A proxy's page is no yes.
    receiver.next([Act::Status(201), Act::Status(200)]);
    let audit = machine.start(&receiver);
    until("it is told", || machine.warnings().len() == 1).await;
    assert!(
        machine.warnings()[0].contains("201 is expected"),
        "{:?}",
        machine.warnings()
    );
    machine.reporter.tell(Event::Ready { text: "up".into() });
    until("the record", || receiver.of("BOOT_RECORD").len() == 1).await;
    assert_eq!(receiver.of("AUDIT_LOG").len(), 1);
    assert!(!gone(&log));
    // The last of the agent tries everything once more.
    audit.flush(Instant::now() + SOON, Live::Stays).await;
    assert!(gone(&log));
}
