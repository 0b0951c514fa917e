//! When the machine counts as up, and what happens when the container ends.

use super::Fate::{Later, Read};
use super::Shape::{Choice, Number, Object, Text, Time, Words};
use super::{Grammar, Key};

const PORT: super::Shape = Number {
    least: 1,
    most: 65_535,
    unit: "",
};

const ELB: &[Key] = &[
    Key::new("type", Choice(&["elb"]), Read, "A classic load balancer.")
        .required()
        .example("type: elb"),
    Key::new("loadbalancer_name", Text(Grammar::NotEmpty), Read, "Its name.")
        .required()
        .example("loadbalancer_name: my-app"),
];

pub(super) const KEYS: &[Key] = &[
    Key::new("health_check_type", Choice(&["http", "tcp", "exec"]), Read, "How the application is asked: an HTTP request, a connection to its port, or a command in the container.")
        .default("http with `health_check_path`, exec with `health_check_command`, else no check")
        .example("health_check_type: tcp\nhealth_check_port: 5432"),
    Key::new("health_check_path", Text(Grammar::UrlPath), Read, "The path of `GET http://127.0.0.1:PORT/PATH`; 200 is healthy.")
        .default("no check")
        .taupage("The same, every 2 s.")
        .example("health_check_path: /health"),
    Key::new("health_check_port", PORT, Read, "The host's port that is asked. A tcp check dials the same port's container side at the container's own address.")
        .default("the lowest single TCP port of `ports`")
        .taupage("The lowest port, udp ones included.")
        .example("health_check_port: 8080"),
    Key::new("health_check_command", Words, Read, "The program and arguments that run in the container; 0 is healthy. No shell runs.")
        .example("health_check_command: [pg_isready, -q]"),
    Key::new("health_check_timeout_seconds", Number { least: 1, most: 86_400, unit: "seconds" }, Read, "How long a new container may take to become healthy. The boot's own time ends it earlier.")
        .default("60")
        .taupage("The same.")
        .example("health_check_timeout_seconds: 300"),
    Key::new("health_check_interval_seconds", Number { least: 1, most: 3600, unit: "seconds" }, Read, "Time between two probes.")
        .default("2")
        .example("health_check_interval_seconds: 10"),
    Key::new("health_check_probe_timeout_seconds", Number { least: 1, most: 600, unit: "seconds" }, Read, "How long one probe may take.")
        .default("5")
        .example("health_check_probe_timeout_seconds: 2"),
    Key::new("health_check_healthy_threshold", Number { least: 1, most: 100, unit: "probes" }, Read, "Good answers in a row that make the container healthy.")
        .default("1")
        .example("health_check_healthy_threshold: 3"),
    Key::new("boot_timeout", Time { least: 30, most: 86_400 }, Read, "How long the whole boot may take, from the launch of the instance on. Keep it under CloudFormation's own timeout.")
        .default("15m")
        .example("boot_timeout: 10m"),
    Key::new("healthcheck", Object(ELB), Later("nobody asks the load balancer; the machine is up when the local check passes"), "The load balancer that has to call the machine healthy too.")
        .taupage("Waited for InService at a classic load balancer, 10 s x 30.")
        .example("healthcheck:\n  type: elb\n  loadbalancer_name: my-app"),
    Key::new("restart", Choice(&["always", "on-failure", "never"]), Read, "What happens when the container ends. The agent restarts it, with growing pauses, at most 10 times in 10 minutes.")
        .default("on-failure")
        .example("restart: always"),
    Key::new("shutdown", Choice(&["never", "on-exit", "on-success"]), Later("the machine stays on when the container ends"), "Powers the machine off when the container ends, or when it ends with 0.")
        .default("never")
        .taupage("The same.")
        .example("shutdown: on-exit"),
];
