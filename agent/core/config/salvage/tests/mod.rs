mod fate;

use proptest::prelude::*;

use super::*;
use crate::config::parse;

const START: &str = "#taupage-ami-config\napplication_id: my-app\n";

fn notify_cfn(text: &str) -> Option<SignalTarget> {
    salvage(text).signal
}

/// Stack, resource, and what else is said.
fn found(text: &str) -> Option<(String, String, SignWith, Option<String>)> {
    let target = notify_cfn(text)?;
    Some((target.stack, target.resource, target.sign, target.wait_handle))
}

fn names(text: &str) -> Option<(String, String)> {
    found(text).map(|(stack, resource, _, _)| (stack, resource))
}

#[test]
fn both_forms_are_read_as_people_write_them() {
    for text in [
        "notify_cfn:\n  stack: my-stack\n  resource: AppServer\nports: {",
        "notify_cfn:   # who waits\n\n    # the stack\n    resource: 'AppServer'\n    stack: \"my-stack\"  # ours\n",
        "notify_cfn:\r\n  stack: my-stack\r\n  resource: AppServer\r\n",
        "notify_cfn:\n\tstack: my-stack\n\tresource: AppServer\n",
        "notify_cfn:\n  stack : my-stack\n  resource:\tAppServer",
        "notify_cfn:\n  stack: my-stack\n  other:\n    more: x\n  resource: AppServer\n",
        "notify_cfn: {stack: my-stack, resource: AppServer}",
        "notify_cfn: { resource: 'AppServer', stack: my-stack, } # ours",
        "notify_cfn: {\"stack\":\"my-stack\",\"resource\":\"AppServer\"}",
        "a: 'never closed\nnotify_cfn:\n  stack: my-stack\n  resource: AppServer\n",
        "environment:\n  X: |\n    notify_cfn:\n      stack: other\nnotify_cfn:\n  stack: my-stack\n  resource: AppServer\n",
    ] {
        assert_eq!(
            names(&format!("{START}{text}")),
            Some(("my-stack".into(), "AppServer".into())),
            "{text}"
        );
    }
    assert_eq!(
        names("# header\n---\nnotify_cfn: {stack: s, resource: r}\n---\nx: y"),
        Some(("s".into(), "r".into()))
    );
    let arn = "arn:aws:cloudformation:eu-central-1:123456789012:stack/a/1b-2c";
    assert_eq!(
        names(&format!("notify_cfn: {{stack: {arn}, resource: A}}")),
        Some((arn.into(), "A".into()))
    );
}

#[test]
fn what_stands_beside_them_counts_too() {
    let url = "https://handles.example.org/arn%3Aaws?X-Amz-Date=2026&Signature=a%2Bb";
    let block = format!("notify_cfn:\n  stack: s\n  resource: r\n  sign: role\n  wait_handle: \"{url}\"\n");
    let all = Some(("s".into(), "r".into(), SignWith::Role, Some(url.to_owned())));
    assert_eq!(found(&block), all);
    assert_eq!(
        found(&format!(
            "notify_cfn: {{stack: s, resource: r, sign: role, wait_handle: {url}}}"
        )),
        all
    );
    // A handle that cannot be read is no reason to leave the stack waiting.
    let without = Some(("s".into(), "r".into(), SignWith::Instance, None));
    for handle in [
        "${Handle}",
        "handles.example.org",
        "&a https://x.example.org",
        "https://x/a\n    b",
    ] {
        let text = format!("notify_cfn:\n  stack: s\n  resource: r\n  wait_handle: {handle}\n");
        assert_eq!(found(&text), without, "{handle}");
    }
}

#[test]
fn nothing_is_guessed() {
    for text in [
        "",
        "stack: s\nresource: r",
        "notify_cfn:",
        "notify_cfn:\nstack: s\nresource: r",
        "notify_cfn:\n  stack: s",
        "notify_cfn:\n  stack: s\n  resource:",
        "notify_cfn:\n  stack: s\n  resource: null",
        "notify_cfn:\n  stack: s\n  resource: ~",
        "notify_cfn:\n  stack: s\n  resource: ''",
        "notify_cfn:\n  stack: ${Stack}\n  resource: r",
        "notify_cfn:\n  stack: '{{stack}}'\n  resource: r",
        "notify_cfn:\n  stack: !Ref Stack\n  resource: r",
        "notify_cfn:\n  stack: &a s\n  resource: *a",
        "notify_cfn:\n  stack: s\u{fffd}\n  resource: r",
        "notify_cfn:\n  stack: s t\n  resource: r",
        "notify_cfn:\n  stack: s\u{a0}\n  resource: r",
        "notify_cfn:\n \u{a0}stack: s\n  resource: r",
        "notify_cfn:\n  stack: 's\n  resource: r",
        "notify_cfn:\n  stack: 's' 't'\n  resource: r",
        "notify_cfn:\n  stack: \"s\\x41\"\n  resource: r",
        "notify_cfn:\n  stack: s\n    t\n  resource: r",
        "notify_cfn:\n  stack: >-\n    s\n  resource: r",
        "notify_cfn:\n  stack: s\n  stack: t\n  resource: r",
        "notify_cfn:\n  stack: s#t\n  resource: r",
        "notify_cfn:\n  stack: aws:kms:aGVsbG8=\n  resource: r",
        "notify_cfn:\n  stack: aws:ssm:/a\n  resource: r",
        "notify_cfn:\n  stack: s\n  resource: r\n  sign: rule",
        "notify_cfn:\n  stack: s\n  resource: r\n  sign: ${Sign}",
        "notify_cfn:\n    stack: s\n  resource: r",
        "notify_cfn:\n  stack: s\n\tresource: r",
        "notify_cfn:\n  - stack: s\n  - resource: r",
        "notify_cfn:\n  stack:s\n  resource: r",
        "notify_cfn:\n  stack: s\n  oops\n  resource: r",
        "notify_cfn: &a\n  stack: s\n  resource: r",
        "notify_cfn: {stack: s, resource: r",
        "notify_cfn: {stack: s,\n  resource: r}",
        "notify_cfn: {stack: s, resource: {r: 1}}",
        "notify_cfn: {stack: s, stack: s, resource: r}",
        "notify_cfn: {stack:s, resource: r}",
        "notify_cfn: {stack: s, resource: r} x",
        "notify_cfn:{stack: s, resource: r}#",
        "  notify_cfn: {stack: s, resource: r}",
        "notify_cfn: {stack: s, resource: r}\nnotify_cfn: {stack: s, resource: r}",
        "a: b\n---\nnotify_cfn: {stack: s, resource: r}",
        "a: b\n...\nnotify_cfn: {stack: s, resource: r}",
    ] {
        assert_eq!(names(text), None, "{text}");
    }
}

/// The report is asked, whatever is wrong with the text.
#[test]
fn a_report_knows_who_waits_though_the_text_is_no_yaml() {
    let notify = "notify_cfn:\n  stack: my-stack\n  resource: AppServer\n";
    let mut not_utf8 = format!("{START}{notify}title: ").into_bytes();
    not_utf8.extend(b"\xe4\n");
    let texts = [
        format!("{START}{notify}ports: {{80: 80\n").into_bytes(),
        format!("{START}title: \"never closed\n{notify}").into_bytes(),
        format!("{START}environment:\n\tA: b\n{notify}").into_bytes(),
        format!("application_id: my-app\n{notify}").into_bytes(),
        format!("{START}title: a\u{1}b\nx: [\n{notify}").into_bytes(),
        not_utf8,
    ];
    for bytes in texts {
        let report = parse(&bytes, "user data");
        assert!(report.has_errors() && report.config().is_none());
        let target = report.notify_cfn().unwrap_or_else(|| panic!("{report:?}"));
        assert_eq!(
            (target.stack.as_str(), target.resource.as_str()),
            ("my-stack", "AppServer")
        );
    }
    // A text that can be read says what it says, and what it says wrongly is not looked for again.
    for lines in ["notify_cfn:\n  stack: s\n  resource: [r]", "notify_cfn: ~"] {
        let report = parse(format!("{START}{lines}\n").as_bytes(), "user data");
        assert_eq!(report.notify_cfn(), None, "{lines}");
    }
}

fn fate_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "on_boot_failure:[ \t]?['\"]?(stay|poweroff|replace|off)['\"]?( #x| x)?",
        "lifecycle_hooks: ?(\\{(\"?launch\"?: ?['\"]?[a-z1{$&*!]{1,3}['\"]?|, ?|group: [a-zü]{1,3}){0,4}\\}?)?( #x)?",
        "[ \t]{0,3}(launch|terminate|group|x): ?['\"]?[a-zA-Z0-9:/{}$&*!#ü -]{0,6}['\"]?( #.)?",
        "(---|\\.\\.\\.|[a-z]{1,3}: .{0,4}|  .{0,3}|)",
    ]
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "notify_cfn: ?(\\{(\"?stack\"?: ?['\"]?[a-z{$&*!]{1,3}['\"]?|, ?|resource: [a-zü]{1,3}|sign: role){0,4}\\}?)?( #x)?",
        "[ \t]{0,3}(stack|resource|sign|wait_handle|x): ?['\"]?(https://)?[a-zA-Z0-9:/{}$&*!#ü -]{0,6}['\"]?( #.)?",
        "(---|\\.\\.\\.|[a-z]{1,3}: .{0,4}|\t.{0,3}|)",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn only_what_stands_there_is_returned(lines in prop::collection::vec(line(), 0..8)) {
        let text = lines.join("\n");
        if let Some(target) = notify_cfn(&text) {
            for part in [Some(&target.stack), Some(&target.resource), target.wait_handle.as_ref()].into_iter().flatten() {
                prop_assert!(text.contains(part.as_str()), "{part} is not in {text}");
                prop_assert!(!part.contains(['{', '}', '$', '&', '*', '!', '#', ' ', '\'', '"']), "{part}");
            }
        }
    }

    /// Where YAML reads the text too, it reads nothing else.
    #[test]
    fn a_text_that_can_be_read_says_the_same(lines in prop::collection::vec(line(), 0..8)) {
        let text = format!("{START}application_version: '1'\nsource: a:1\n{}\n", lines.join("\n"));
        let report = parse(text.as_bytes(), "user data");
        let readable = report.problems().iter().all(|problem| !problem.code.as_str().starts_with("MP01"));
        if let (true, Some(found)) = (readable, notify_cfn(&text)) {
            prop_assert_eq!(report.notify_cfn().map(|target| (&target.stack, &target.resource)), Some((&found.stack, &found.resource)), "{}", text);
        }
    }

    /// The same of what becomes of the machine; what cannot be read for certain is the default.
    #[test]
    fn a_text_that_can_be_read_fares_the_same(lines in prop::collection::vec(fate_line(), 0..8)) {
        let text = format!("{START}application_version: '1'\nsource: a:1\n{}\n", lines.join("\n"));
        let report = parse(text.as_bytes(), "user data");
        if report.problems().iter().all(|problem| !problem.code.as_str().starts_with("MP01")) {
            let (said, found) = (report.lifecycle(), salvage(&text));
            let fate = found.on_boot_failure.unwrap_or_default();
            prop_assert!(fate == said.on_boot_failure || fate == OnBootFailure::Stay, "{fate:?} {text}");
            let hooks = found.hooks.unwrap_or_default();
            for (found, said) in [(hooks.launch, said.hooks.launch), (hooks.terminate, said.hooks.terminate), (hooks.group, said.hooks.group)] {
                prop_assert!(found.is_none() || found == said, "{found:?} {said:?} {text}");
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s)(notify_cfn:|on_boot_failure:|lifecycle_hooks:)?.{0,80}") {
        let _ = salvage(&text);
    }
}
