//! The application that does as it is told.

use std::time::{Duration, Instant, SystemTime};

use monopod_testrig::{Machine, Service, wait_until};

use crate::{SOON, healthy, start_web};

fn ended(machine: &Machine) -> i64 {
    let found = wait_until(SOON, || {
        let state = machine.inspect("app")?["State"].clone();
        (state["Running"] == false).then(|| state["ExitCode"].as_i64().unwrap())
    });
    found.expect("it runs on")
}

#[test]
fn a_service_does_as_it_is_told() {
    let machine = Machine::acquire();
    start_web(&machine, "app", "service");
    wait_until(SOON, || healthy(&machine)).unwrap();
    let (service, health) = (Service::at(&machine, 8080), |path: &str| {
        machine.http_get(8080, path).unwrap()
    });
    service.status(503);
    assert_eq!(health("/health?a=b").status, 503);
    assert_eq!(health("/other").text(), "service /other");
    service.status(204);
    service.slow(Duration::from_millis(300));
    let (asks, began) = (service.health_asks(), Instant::now());
    assert_eq!(health("/health").status, 204);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(service.health_asks(), asks + 1);
    assert_eq!(service.health_headers()["host"], "127.0.0.1");

    service.status_for_good(500);
    service.exit(3);
    assert_eq!(ended(&machine), 3);
    machine.docker_ok(&["start", "app"]);
    wait_until(SOON, || {
        machine
            .http_get(8080, "/health")
            .ok()
            .filter(|answer| answer.status == 500)
    })
    .unwrap();
    service.status(200);
    assert_eq!(health("/health").status, 200);
}

#[test]
fn a_service_says_when_it_was_told_to_end() {
    let machine = Machine::acquire();
    start_web(&machine, "app", "service");
    wait_until(SOON, || healthy(&machine)).unwrap();
    let service = Service::at(&machine, 8080);
    service.ignore_sigterm(true);
    machine.docker_ok(&["kill", "--signal", "TERM", "app"]);
    let heard = wait_until(SOON, || Service::sigterms(&machine, "app").pop()).unwrap();
    assert!(heard.elapsed().unwrap() < Duration::from_secs(60) && heard <= SystemTime::now());
    assert_eq!(machine.inspect("app").unwrap()["State"]["Running"], true);
    machine.docker_ok(&["stop", "-t", "1", "app"]);
    assert_eq!(ended(&machine), 137);
    assert_eq!(Service::sigterms(&machine, "app").len(), 2);

    machine.docker_ok(&["start", "app"]);
    wait_until(SOON, || healthy(&machine)).unwrap();
    service.sigterm_takes(Duration::from_millis(400));
    let began = Instant::now();
    machine.docker_ok(&["stop", "-t", "10", "app"]);
    assert_eq!(ended(&machine), 0);
    assert!(began.elapsed() >= Duration::from_millis(400));
    assert_eq!(Service::sigterms(&machine, "app").len(), 3);

    machine.docker_ok(&["start", "app"]);
    wait_until(SOON, || healthy(&machine)).unwrap();
    machine.starve("app");
    assert_eq!(ended(&machine), 137);
    assert_eq!(machine.inspect("app").unwrap()["State"]["OOMKilled"], true);
}
