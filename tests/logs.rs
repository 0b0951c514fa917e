//! The container's lines: to application.log exactly once, to syslog as long as it listens.

use std::fs;

use monopod_testrig::{Machine, Rsyslog, wait_until};

use crate::common::*;

fn application_log(machine: &Machine) -> String {
    fs::read_to_string(machine.dirs().logs.join("application.log")).unwrap_or_default()
}

/// Waits until the file has a line that contains this.
fn wait_for_line(machine: &Machine, part: &str) -> String {
    wait_until(BOOT, || {
        Some(application_log(machine)).filter(|text| text.contains(part))
    })
    .unwrap_or_else(|| panic!("no {part:?} in application.log:\n{}", application_log(machine)))
}

fn chatty(machine: &Machine, lines: u32) -> monopod_testrig::Agent {
    UserData::new(machine, "chatty")
        .env(&[("LINES", &lines.to_string())])
        .serve(machine);
    run_until_ready(machine)
}

#[test]
fn every_line_once_and_in_order() {
    let machine = Machine::acquire();
    let _agent = chatty(&machine, 20_000);
    let text = wait_for_line(&machine, "chatty done");
    let numbers: Vec<u32> = text
        .lines()
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    assert_eq!(numbers, (1..=20_000).collect::<Vec<u32>>());
}

#[test]
fn an_agent_killed_in_the_middle_loses_and_repeats_nothing() {
    let machine = Machine::acquire();
    let agent = chatty(&machine, 100_000);
    wait_until(BOOT, || (application_log(&machine).len() > 10_000).then_some(())).expect("it has begun");
    agent.kill9();
    let _agent = run_until_ready(&machine);
    let text = wait_for_line(&machine, "chatty done");
    let numbers: Vec<u32> = text
        .lines()
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    assert_eq!(numbers.len(), 100_000);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn syslog_away_and_back_holds_nobody_up() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .line("environment: {INTERVAL: \"0.1\"}")
        .serve(&machine);
    machine.syslog().down();
    let _agent = run_until_ready(&machine);
    wait_for_line(&machine, "web line 20");
    machine.syslog().up();
    machine.syslog().wait_for("web line 1", BOOT);
    machine.syslog().wait_for("web line 20", BOOT);
}

#[test]
fn the_status_counts() {
    let machine = Machine::acquire();
    let _agent = chatty(&machine, 500);
    wait_for_line(&machine, "chatty done");
    let delivered = wait_until(BOOT, || {
        let shown = status(&machine);
        let rows = shown["logs"].as_array()?.clone();
        let least = rows
            .iter()
            .map(|row| row["delivered"].as_u64().unwrap_or(0))
            .min()?;
        (least >= 501).then_some(rows)
    });
    let rows = delivered.unwrap_or_else(|| panic!("{:#}", status(&machine)["logs"]));
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["lost"] == 0));
}

#[test]
fn a_replaced_container_s_last_lines_are_shipped_first() {
    let machine = Machine::acquire();
    let agent = chatty(&machine, 50_000);
    agent.kill9();
    drop(agent);
    // They are in the engine's file, and the agent that would have shipped them is gone.
    let all_written = || {
        machine
            .docker_ok(&["logs", "--tail", "1", CONTAINER])
            .contains("chatty done")
            .then_some(())
    };
    wait_until(BOOT, all_written).expect("it prints them all");
    UserData::new(&machine, "web").web().serve(&machine);
    machine.reboot();
    let _agent = run_until_ready(&machine);
    let text = wait_for_line(&machine, "web line 1");
    assert!(text.contains("50000"), "the old container's last line is missing");
}

/// The image's rsyslog takes the application's lines, and the agent writes application.log.
#[test]
fn a_real_rsyslog() {
    let machine = Machine::acquire();
    let snippet = repository("systemd/rsyslog-monopod.conf");
    let rsyslog = Rsyslog::start(&machine.dirs().base.join("rsyslog"), &snippet);
    UserData::new(&machine, "web").web().serve(&machine);
    let socket = rsyslog.socket().display().to_string();
    let agent = machine.spawn(binary(), &["run", "--syslog-socket", &socket]);
    wait_ready(&machine, &agent);
    wait_for_line(&machine, "web line 1");
    assert!(agent.running());
}
