//! A pull over a bad line: taken up where it was, watched, and summed up.

use std::time::Duration;

use monopod_testrig::Machine;

use crate::common::*;

#[test]
fn a_registry_that_dies_in_the_middle_is_taken_up_where_it_was() {
    let machine = Machine::acquire();
    UserData::new(&machine, "large").serve(&machine);
    let line = machine.registry().line();
    line.throttle(2 << 20);
    let agent = run(&machine);
    let loaded = || (line.carried() > 7 << 20).then_some(());
    monopod_testrig::wait_until(BOOT, loaded).expect("some of it is carried");
    line.down();
    agent.wait_for_line("the engine takes it up again", BOOT);
    line.heal();
    wait_ready(&machine, &agent);
    // 20 MiB that don't compress, and what is small beside them: nothing of it came twice.
    let carried = line.carried();
    assert!(carried < 23 << 20, "{carried} bytes were carried");
    assert!(!agent.output().contains("trying again"), "{}", agent.output());
}

#[test]
fn a_pull_ends_with_its_size_time_and_speed() {
    let machine = Machine::acquire();
    UserData::new(&machine, "large").serve(&machine);
    let agent = run_until_ready(&machine);
    let done = agent.wait_for_line(", pulled: ", SOON).text;
    for part in [" MiB in 7 layers, ", "s, ", " MB/s"] {
        assert!(done.contains(part), "{part} is missing in {done}");
    }
}

#[test]
fn a_line_that_carries_nothing_is_given_up_while_there_is_time_for_another_try() {
    let machine = Machine::acquire();
    UserData::new(&machine, "large").serve(&machine);
    let line = machine.registry().line();
    line.throttle(4 << 20);
    let agent = run(&machine);
    let loaded = || (line.carried() > 5 << 20).then_some(());
    monopod_testrig::wait_until(BOOT, loaded).expect("some of it is carried");
    line.stall();
    let told = agent
        .wait_for_line("stood still for ", Duration::from_secs(120))
        .text;
    assert!(told.contains(" of ") && told.contains("was given up"), "{told}");
    line.heal();
    wait_ready(&machine, &agent);
}
