//! What becomes of a machine whose user data is wrong.

use crate::config::{ImageLayer, Report, Text, parse, read};
use crate::lifecycle::{Brakes, Hooks, LifecyclePlan, OnBootFailure, StatusAddress};

const START: &str = "#taupage-ami-config\napplication_id: my-app\n";
const HOOKS: &str = "lifecycle_hooks: {launch: up, terminate: down}\n";
/// What makes a text no YAML.
const BROKEN: &str = "ports: {80: 80\n";

fn on_image(lines: &str, defaults: &[&str]) -> Report {
    let text = format!("{START}{lines}");
    let defaults = defaults.iter().map(|text| Text {
        name: "defaults.yaml",
        bytes: text.as_bytes(),
    });
    let image = ImageLayer {
        defaults: defaults.collect(),
        ..ImageLayer::default()
    };
    let user_data = Text {
        name: "user data",
        bytes: text.as_bytes(),
    };
    let report = read(user_data, &image);
    assert!(report.config().is_none(), "{lines}");
    report
}

fn life(lines: &str) -> LifecyclePlan {
    on_image(lines, &[]).lifecycle()
}

fn hooks(group: Option<&str>, launch: Option<&str>, terminate: Option<&str>) -> Hooks {
    let [group, launch, terminate] = [group, launch, terminate].map(|name| name.map(str::to_owned));
    Hooks {
        group,
        launch,
        terminate,
    }
}

#[test]
fn a_mistake_elsewhere_changes_nothing() {
    let notify = "notify_cfn: {stack: my-stack, resource: AppServer}\n";
    for wrong in [
        "",
        "sorce: registry.example.org/a:1\n",
        "source: registry.example.org/a:latest\nports: {http: 80}\n",
        "source: [a]\nhealth_check_path: 1\nhealthcheck: elb\n",
        "notify_cfn: ~\n",
        BROKEN,
        "title: \"never closed\n",
        "environment:\n\tA: b\n",
        "environment:\n   A: b\n  B: c\n",
        "a: b: c\n",
    ] {
        for (word, fate) in [
            ("poweroff", OnBootFailure::Poweroff),
            ("'replace'   # a new one", OnBootFailure::Replace),
            ("stay", OnBootFailure::Stay),
        ] {
            let plan = life(&format!("on_boot_failure: {word}\n{HOOKS}{wrong}"));
            assert_eq!(plan.on_boot_failure, fate, "{wrong}");
            assert_eq!(plan.hooks, hooks(None, Some("up"), Some("down")), "{wrong}");
            assert_eq!(plan.signal, None);
        }
        if !wrong.starts_with("notify") {
            let report = on_image(&format!("{notify}{HOOKS}{wrong}"), &[]);
            assert!(report.notify_cfn().is_some(), "{wrong}");
            assert_eq!(report.lifecycle().signal.as_ref(), report.notify_cfn(), "{wrong}");
        }
    }
}

#[test]
fn a_value_that_is_wrong_is_the_default() {
    for broken in ["", BROKEN] {
        for line in [
            "on_boot_failure: restart",
            "on_boot_failure: Poweroff",
            "on_boot_failure: [poweroff]",
            "on_boot_failure:",
            "on_boot_failure: ~",
            "on_boot_failure: ${Fate}",
            "on_boot_failure: poweroff\n  or: not",
            "on_boot_failure: poweroff\n  or not",
            "on_boot_failure: 'poweroff",
            "on_boot_failure: poweroff#x",
            "on_boot_failure:poweroff",
            "on_boot_failure: &a poweroff x",
            "x:\n  on_boot_failure: poweroff",
            "#on_boot_failure: poweroff",
            "x: y\n---\non_boot_failure: poweroff",
        ] {
            // A text that can be read may be read through its second document or not: neither is a machine powered off.
            let plan = life(&format!("{line}\n{broken}"));
            assert_eq!(plan, LifecyclePlan::default(), "{line} {broken}");
        }
    }
    // What only YAML could put together, or choose between, is not read without it.
    let folded = life(&format!("on_boot_failure: >-\n  poweroff\n{BROKEN}"));
    assert_eq!(folded, LifecyclePlan::default());
    let twice = life(&format!(
        "on_boot_failure: poweroff\non_boot_failure: poweroff\n{BROKEN}"
    ));
    assert_eq!(twice, LifecyclePlan::default());
    let plan = life("status_address: here\nreplace: {min_uptime: soon}\non_boot_failure: replace\n");
    assert_eq!(
        (plan.status_address, plan.brakes, plan.on_boot_failure),
        (
            StatusAddress::default(),
            Brakes::default(),
            OnBootFailure::Replace
        )
    );
}

#[test]
fn each_hook_is_read_by_itself() {
    let all = || hooks(Some("my-group"), Some("up"), Some("a/b_c-1"));
    for (text, expected) in [
        ("{group: my-group, launch: up, terminate: a/b_c-1}", all()),
        (
            "\n  group: \"my-group\" # ours\n\n  launch: up\n  terminate: 'a/b_c-1'",
            all(),
        ),
        ("{launch: up}", hooks(None, Some("up"), None)),
        ("{launch: up, terminate: a b}", hooks(None, Some("up"), None)),
        ("{group: [], launch: up}", hooks(None, Some("up"), None)),
        (
            "\n  launch: ${Hook}\n  terminate: down",
            hooks(None, None, Some("down")),
        ),
        (
            "\n  launch: &a up\n  terminate: down",
            hooks(None, None, Some("down")),
        ),
        (
            "\n  launch: ''\n  terminate: down",
            hooks(None, None, Some("down")),
        ),
        (
            "\n  launch: up\n    more\n  terminate: down",
            hooks(None, None, Some("down")),
        ),
        ("[launch, terminate]", Hooks::default()),
        ("up", Hooks::default()),
        ("", Hooks::default()),
    ] {
        let plan = life(&format!("lifecycle_hooks: {text}\n{BROKEN}"));
        assert_eq!(plan.hooks, expected, "{text}");
    }
    for text in [
        "lifecycle_hooks: {launch: up, launch: up}",
        "lifecycle_hooks: {launch: up",
        "lifecycle_hooks: {launch: yes}",
        "lifecycle_hooks: {launch: 12}",
        "lifecycle_hooks: {launch: {a: b}}",
        "lifecycle_hooks: &a {launch: up}",
        "lifecycle_hooks:{launch: up}",
        "lifecycle_hooks: {launch: up}\nlifecycle_hooks: {launch: up}",
    ] {
        let plan = life(&format!("{text}\n{BROKEN}"));
        assert_eq!(plan, LifecyclePlan::default(), "{text}");
    }
}

#[test]
fn the_images_word_holds_where_the_text_has_none() {
    let image = "on_boot_failure: poweroff\nreplace: {min_uptime: 15m}\nlifecycle_hooks: {launch: image}\nnotify_cfn: {stack: s, resource: r}\n";
    let of = |lines: &str, defaults: &[&str]| on_image(lines, defaults).lifecycle();
    for (lines, fate, launch) in [
        (BROKEN, OnBootFailure::Poweroff, Some("image")),
        ("- a\n", OnBootFailure::Poweroff, Some("image")),
        (
            "# on_boot_failure: stay\na: [\n",
            OnBootFailure::Poweroff,
            Some("image"),
        ),
        (
            "on_boot_failure: replace\na: [\n",
            OnBootFailure::Replace,
            Some("image"),
        ),
        (
            "on_boot_failure: rePlace\na: [\n",
            OnBootFailure::Stay,
            Some("image"),
        ),
        (
            "  \"on_boot_failure\": stay\na: [\n",
            OnBootFailure::Stay,
            Some("image"),
        ),
        (
            "lifecycle_hooks: {terminate: t}\na: [\n",
            OnBootFailure::Poweroff,
            None,
        ),
        ("lifecycle_hooks: x\nb: [\n", OnBootFailure::Poweroff, None),
        // The same of a text that can be read.
        ("source: [a]\n", OnBootFailure::Poweroff, Some("image")),
        ("on_boot_failure: rePlace\n", OnBootFailure::Stay, Some("image")),
    ] {
        let plan = of(lines, &[image]);
        assert_eq!(
            (plan.on_boot_failure, plan.hooks.launch.as_deref()),
            (fate, launch),
            "{lines}"
        );
        assert_eq!(plan.brakes.min_uptime_seconds, 900, "{lines}");
    }
    let plan = of(BROKEN, &[image, "# nothing\n", "on_boot_failure: stay\n"]);
    assert_eq!((plan.on_boot_failure, plan.signal), (OnBootFailure::Stay, None));
    // A drop-in that cannot be read may be the one that takes it back.
    assert_eq!(of(BROKEN, &[image, "a: [\n"]), LifecyclePlan::default());
    assert_eq!(parse(b"", "user data").lifecycle(), LifecyclePlan::default());
}
