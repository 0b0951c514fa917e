//! Who has to call the machine healthy besides itself, what becomes of one that is not, and how it leaves.

use super::Fate::Read;
use super::Shape::{Choice, Either, List, Number, Object, Text, Time};
use super::{Grammar, Key, Shape};

const NAME: Shape = Text(Grammar::NotEmpty);
const ARN: Shape = Text(Grammar::TargetGroup);

const BALANCERS: &[Key] = &[
    Key::new("type", Choice(&["elb", "elbv2"]), Read, "The kind of load balancer: `elb` for classic ones, `elbv2` for target groups of application, network and gateway load balancers.")
        .required()
        .example("type: elbv2"),
    Key::new("loadbalancer_name", Either(&[List(&NAME), NAME]), Read, "Names of classic load balancers; needed with `type: elb`.")
        .taupage("One name.")
        .example("loadbalancer_name: my-app"),
    Key::new("target_groups", Either(&[List(&ARN), ARN]), Read, "ARNs of target groups; needed with `type: elbv2`.")
        .example("target_groups: [\"arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/my-app/0123456789abcdef\"]"),
    Key::new("require", Choice(&["any", "all"]), Read, "How many of several have to call the machine healthy. With `any` a standby passes that is in service behind the endpoint of replicas alone.")
        .default("any")
        .example("require: all"),
    Key::new("healthy_threshold", Number { least: 1, most: 100, unit: "answers" }, Read, "Good answers in a row that are believed. The local check has to hold, too.")
        .default("2")
        .example("healthy_threshold: 3"),
    Key::new("timeout", Time { least: 10, most: 86_400 }, Read, "How long the load balancers may take, after the local check has passed. `boot_timeout` may end it earlier.")
        .default("5m")
        .taupage("The same.")
        .example("timeout: 10m"),
];

const HOOKS: &[Key] = &[
    Key::new("group", Text(Grammar::NotEmpty), Read, "The Auto Scaling group's name.")
        .default("what the instance's tags say in its metadata, else what Auto Scaling answers")
        .example("group: my-group"),
    Key::new("launch", Text(Grammar::HookName), Read, "The hook that keeps a new machine waiting: CONTINUE once the local check has passed, ABANDON if the boot fails, heartbeats between.")
        .example("launch: booted"),
    Key::new("terminate", Text(Grammar::HookName), Read, "The hook that keeps a leaving machine waiting: CONTINUE once the drain is over, heartbeats before.")
        .example("terminate: drained"),
];

const BRAKES: &[Key] = &[
    Key::new(
        "min_uptime",
        Time {
            least: 0,
            most: 604_800,
        },
        Read,
        "A machine asks for its replacement no earlier than so long after its launch.",
    )
    .default("10m")
    .example("min_uptime: 15m"),
    Key::new(
        "max_unhealthy_percent",
        Number {
            least: 1,
            most: 100,
            unit: "percent",
        },
        Read,
        "When more of the group than this is unhealthy, the cause is not this machine, and it does not ask.",
    )
    .default("20")
    .example("max_unhealthy_percent: 34"),
];

pub(super) const KEYS: &[Key] = &[
    Key::new("healthcheck", Object(BALANCERS), Read, "Load balancers that have to call the machine healthy, too, before CloudFormation and systemd are told that it is up.")
        .taupage("Waited for InService at one classic load balancer: 30 times, 10 s apart.")
        .ours("Target groups, too, and more than one.")
        .example("healthcheck:\n  type: elb\n  loadbalancer_name: my-app"),
    Key::new("lifecycle_hooks", Object(HOOKS), Read, "Hooks of the Auto Scaling group that wait for this machine; at least one of `launch` and `terminate`.")
        .ours("New.")
        .example("lifecycle_hooks:\n  launch: booted\n  terminate: drained"),
    Key::new("on_boot_failure", Choice(&["stay", "poweroff", "replace"]), Read, "What becomes of a machine whose boot failed: it stays for inspection, is powered off, or asks its Auto Scaling group to replace it.")
        .default("stay")
        .ours("New. `replace` needs an Auto Scaling group, and says so where there is none; it asks at once, whatever grace period the group has.")
        .example("on_boot_failure: replace"),
    Key::new("on_unhealthy", Choice(&["restart", "replace", "ignore"]), Read, "What becomes of a container that is not healthy: it is restarted; or, when that did not help, the Auto Scaling group is asked to replace the machine; or it is only reported. Without a health check the container's exits are all there is to go by: what runs is healthy.")
        .default("restart")
        .taupage("Nobody asked after the boot.")
        .ours("New. `replace` needs an Auto Scaling group; it calls SetInstanceHealth, respects the group's grace period, and happens once.")
        .example("on_unhealthy: replace"),
    Key::new("replace", Object(BRAKES), Read, "What holds a machine back from asking for its own replacement; for `on_unhealthy: replace`.")
        .ours("New.")
        .example("replace:\n  min_uptime: 15m\n  max_unhealthy_percent: 34"),
    Key::new("shutdown", Choice(&["never", "on-exit", "on-success"]), Read, "Powers the machine off when the container has ended for good, or when it ended with 0. Its lines leave the machine before that.")
        .default("never")
        .taupage("The same.")
        .example("shutdown: on-exit"),
    Key::new("on_rebalance", Choice(&["ignore", "drain"]), Read, "Whether EC2's recommendation to move a spot instance begins a drain, or is only reported.")
        .default("ignore")
        .ours("New. The interruption itself always begins one.")
        .example("on_rebalance: drain"),
    Key::new("drain_timeout", Time { least: 10, most: 86_400 }, Read, "How long a machine that leaves may take altogether: out of the load balancers, the container's stop, the last lines. A spot interruption leaves two minutes whatever stands here.")
        .default("10m")
        .ours("New.")
        .example("drain_timeout: 5m"),
    Key::new("status_address", Text(Grammar::SocketAddress), Read, "Where /health, /ready, /status and /metrics are served: an IP address and a port, or `none`. They need no login, so an address that others can reach is shown as opened.")
        .default("127.0.0.1:9180")
        .ours("New.")
        .example("status_address: 127.0.0.1:9180"),
];
