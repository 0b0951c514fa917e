//! Files that others write, rename and replace.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::sync::mpsc;

use flate2::read::MultiGzDecoder;

use super::*;

fn unzipped(data: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(data).read_to_string(&mut text).unwrap();
    text
}

async fn flush(audit: &Audit, live: Live) {
    audit.flush(Instant::now() + SOON, live).await;
}

#[tokio::test]
async fn only_whole_files_of_ours_are_sent() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    let secret = machine.base.join("shadow.gz");
    fs::write(&secret, gzip("somebody else's")).unwrap();
    symlink(&secret, machine.logs().join("audit.log.1.gz")).unwrap();
    fs::create_dir(machine.logs().join("audit.log.2.gz")).unwrap();
    let whole = gzip("it is whole now\n");
    let part = machine.log("audit.log.3.gz", &whole[..whole.len() - 3]);
    machine.log("audit.log.4", b"not compressed");
    machine.log("audit.log", b"live");
    machine.log("syslog.1.gz", &gzip("not ours"));
    let huge = fs::File::create(machine.logs().join("audit.log.5.gz")).unwrap();
    huge.set_len(super::super::logs::MOST_BYTES + 1).unwrap();
    let audit = machine.start(&receiver);
    until("what is too large is told", || machine.warnings().len() == 1).await;
    assert!(
        machine.warnings()[0].contains("audit.log.5.gz"),
        "{:?}",
        machine.warnings()
    );
    assert_eq!(receiver.of("AUDIT_LOG").len(), 0);
    fs::write(&part, &whole).unwrap();
    flush(&audit, Live::Stays).await;
    let sent = receiver.of("AUDIT_LOG");
    assert_eq!(sent.len(), 1);
    assert_eq!(unzipped(&sent[0].data), "it is whole now\n");
    assert_eq!(
        machine.names(),
        [
            "audit.log",
            "audit.log.1.gz",
            "audit.log.2.gz",
            "audit.log.4",
            "audit.log.5.gz",
            "syslog.1.gz"
        ]
    );
    assert_eq!(machine.warnings().len(), 1, "{:?}", machine.warnings());
}

#[tokio::test]
async fn a_new_file_is_seen() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    let _audit = machine.start(&receiver);
    until("the first round", || receiver.bodies().len() == 1).await;
    machine.log("audit.log.1.gz.tmp", &gzip("x"));
    fs::rename(
        machine.logs().join("audit.log.1.gz.tmp"),
        machine.logs().join("audit.log.1.gz"),
    )
    .unwrap();
    until("it is sent and removed", || machine.names().is_empty()).await;
}

/// logrotate renames while we send: what is removed is the file that was sent, not the one that has its name now.
#[tokio::test]
async fn a_rotation_during_the_call_loses_nothing() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    let (answer, word) = mpsc::channel();
    receiver.next([Act::Status(201), Act::After(word, 201)]);
    machine.log("audit.log.1.gz", &gzip("first"));
    let audit = machine.start(&receiver);
    until("the call", || receiver.of("AUDIT_LOG").len() == 1).await;
    fs::rename(
        machine.logs().join("audit.log.1.gz"),
        machine.logs().join("audit.log.2.gz"),
    )
    .unwrap();
    machine.log("audit.log.1.gz", &gzip("second"));
    answer.send(()).unwrap();
    until("the first is removed", || machine.names() == ["audit.log.1.gz"]).await;
    flush(&audit, Live::Stays).await;
    let sent: Vec<String> = receiver
        .of("AUDIT_LOG")
        .iter()
        .map(|body| unzipped(&body.data))
        .collect();
    assert_eq!(sent, ["first", "second"]);
    assert!(machine.names().is_empty());
}

/// An answer that is lost, or a kill before the file is removed: it is sent again by the next agent.
#[tokio::test]
async fn a_kill_between_the_answer_and_the_removal_sends_twice_and_loses_nothing() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    let (_answer, word) = mpsc::channel();
    receiver.next([Act::Status(201), Act::After(word, 201)]);
    let log = machine.log("audit.log.1.gz", &gzip("x"));
    let audit = machine.start(&receiver);
    until("the call", || receiver.of("AUDIT_LOG").len() == 1).await;
    drop(audit);
    assert!(!gone(&log));
    drop(_answer);
    let _audit = machine.start(&receiver);
    until("the second one", || gone(&log)).await;
    assert_eq!(receiver.of("AUDIT_LOG").len(), 2);
    assert_eq!(receiver.of("USER_DATA").len(), 1);
}

/// rsyslog has the live file open until the machine is down.
#[tokio::test]
async fn the_live_log_is_sent_at_shutdown_and_its_rest_at_the_next_boot() {
    let (machine, receiver) = (Machine::new(), Receiver::start());
    let live = machine.log("audit.log", b"before the end\n");
    let mut rsyslog = fs::OpenOptions::new().append(true).open(&live).unwrap();
    let audit = machine.start(&receiver);
    flush(&audit, Live::Stays).await;
    assert_eq!(receiver.of("AUDIT_LOG").len(), 0);
    flush(&audit, Live::Sent).await;
    assert_eq!(machine.names(), ["audit.log.sent-15-aaaaaaaa"]);
    // Nobody else's: it may still be written to.
    flush(&audit, Live::Stays).await;
    rsyslog.write_all(b"the very end\n").unwrap();
    drop(audit);

    let machine = machine.booted_again();
    let _audit = machine.start(&receiver);
    until("the rest", || machine.names().is_empty()).await;
    let sent: Vec<String> = receiver
        .of("AUDIT_LOG")
        .iter()
        .map(|body| unzipped(&body.data))
        .collect();
    assert_eq!(sent, ["before the end\n", "the very end\n"]);
}
