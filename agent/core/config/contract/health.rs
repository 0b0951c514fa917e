//! When the machine counts as up, and what happens when the container ends.

use super::Fate::Read;
use super::Shape::{Choice, Either, List, Map, Number, Text, Time, Words};
use super::{Grammar, Key};

const PORT: super::Shape = Number {
    least: 1,
    most: 65_535,
    unit: "",
};

const STATUS: super::Shape = Number {
    least: 100,
    most: 599,
    unit: "",
};

pub(super) const KEYS: &[Key] = &[
    Key::new("health_check_type", Choice(&["http", "tcp", "exec"]), Read, "How the application is asked whether it is well: by an HTTP request, a connection to its port, or a command in the container.")
        .default("http with `health_check_path`, exec with `health_check_command`, else no check")
        .example("health_check_type: tcp\nhealth_check_port: 5432"),
    Key::new("health_check_path", Text(Grammar::UrlPath), Read, "The path that is asked for by `GET http://127.0.0.1:PORT/PATH`; the answer 200 is healthy, or what `health_check_status_codes` says.")
        .default("no check")
        .taupage("The same, every 2 s, with 5 s for each answer.")
        .example("health_check_path: /health"),
    Key::new("health_check_port", PORT, Read, "The host's port that is asked. A tcp check dials what is behind it at the container's own address, because a published port always takes a connection.")
        .default("the lowest single TCP port of `ports`")
        .taupage("The lowest port, udp ones included.")
        .example("health_check_port: 8080"),
    Key::new("health_check_status_codes", Either(&[List(&STATUS), STATUS]), Read, "The answers to an http check that are healthy.")
        .default("[200]")
        .taupage("200 alone.")
        .example("health_check_status_codes: [200, 204]"),
    Key::new("health_check_headers", Map { key: "the header's name", names: Grammar::HeaderName, value: &Text(Grammar::HeaderValue) }, Read, "Headers of an http check's request; `Host` may be among them. They are no place for secrets.")
        .default("Host alone, the address that is asked")
        .example("health_check_headers:\n  Host: my-app.example.org"),
    Key::new("health_check_command", Words, Read, "The program that runs in the container, with its arguments; the exit code 0 is healthy. No shell runs.")
        .example("health_check_command: [pg_isready, -q]"),
    Key::new("health_check_timeout_seconds", Number { least: 1, most: 86_400, unit: "seconds" }, Read, "How long a new container may take to become healthy. `boot_timeout` may end it earlier.")
        .default("60")
        .taupage("The same.")
        .example("health_check_timeout_seconds: 300"),
    Key::new("health_check_interval_seconds", Number { least: 1, most: 3600, unit: "seconds" }, Read, "How long to wait between two probes.")
        .default("2 until the machine is up, then 10")
        .example("health_check_interval_seconds: 10"),
    Key::new("health_check_probe_timeout_seconds", Number { least: 1, most: 600, unit: "seconds" }, Read, "How long one probe may take.")
        .default("5")
        .example("health_check_probe_timeout_seconds: 2"),
    Key::new("health_check_healthy_threshold", Number { least: 1, most: 100, unit: "probes" }, Read, "Good answers in a row that make the container healthy.")
        .default("1")
        .example("health_check_healthy_threshold: 3"),
    Key::new("health_check_unhealthy_threshold", Number { least: 1, most: 100, unit: "probes" }, Read, "Failures in a row that make a container unhealthy, once the machine is up; `on_unhealthy` says what happens then.")
        .default("3")
        .taupage("Nobody asked after the boot.")
        .example("health_check_unhealthy_threshold: 5"),
    Key::new("health_check_start_period_seconds", Number { least: 0, most: 86_400, unit: "seconds" }, Read, "After each start of the container failures don't count for so long, unless it was healthy before.")
        .default("`health_check_timeout_seconds`")
        .example("health_check_start_period_seconds: 90"),
    Key::new("boot_timeout", Time { least: 30, most: 86_400 }, Read, "How long the whole boot may take, from the launch of the instance on. Keep it under CloudFormation's own timeout.")
        .default("15m")
        .example("boot_timeout: 10m"),
    Key::new("restart", Choice(&["always", "on-failure", "never"]), Read, "Whether the container is started again when it ends: with growing pauses, at most 10 times in 10 minutes.")
        .default("on-failure")
        .taupage("Docker restarted it on failure, 10 times, and then gave up without a word.")
        .ours("The agent restarts it and says so; Docker's own policy is off.")
        .example("restart: always"),
];
