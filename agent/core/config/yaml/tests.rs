//! The tree as a whole: places, keys, aliases, limits, and what is no YAML.

use super::*;
use crate::config::problem::{Code, Problem};

fn tree(text: &str) -> (Vec<Entry>, Vec<Problem>) {
    let mut problems = Vec::new();
    match load(text, 0, Tags::Refuse, &mut problems) {
        Ok(Some(Node {
            kind: Kind::Map(entries),
            ..
        })) => (entries, problems),
        other => panic!("{text}: {other:?}"),
    }
}

fn refused(text: &str) -> Problem {
    let mut problems = Vec::new();
    match load(text, 0, Tags::Refuse, &mut problems) {
        Err(problem) => problem,
        Ok(tree) => problems
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{text:?} was taken: {tree:?}")),
    }
}

#[test]
fn the_likely_cause_is_in_the_text_that_was_read() {
    for text in ["a:\n\tb: 1", "a:\n  b: 1\n\u{a0}\u{a0}c: [", "a: {{ b }}: c"] {
        let problem = load(text, 2, Tags::Refuse, &mut Vec::new()).unwrap_err();
        assert!(
            matches!(problem.code, Code::Tab | Code::NoBreakSpace | Code::Template),
            "{text:?}: {problem:?}"
        );
        assert_eq!(problem.place.map(|place| place.source), Some(2), "{text:?}");
    }
}

fn flat(text: &str) -> Vec<String> {
    fn show(node: &Node) -> String {
        match &node.kind {
            Kind::Scalar(scalar) => scalar.python_str(),
            Kind::Seq(nodes) => format!("[{}]", nodes.iter().map(show).collect::<Vec<_>>().join(",")),
            Kind::Map(entries) => format!("{{{}}}", entries.iter().map(line).collect::<Vec<_>>().join(",")),
            Kind::Broken => "?".into(),
            Kind::Hole => "…".into(),
        }
    }
    fn line(entry: &Entry) -> String {
        format!("{}={}", entry.name, show(&entry.value))
    }
    tree(text).0.iter().map(line).collect()
}

#[test]
fn every_node_knows_its_place() {
    let (entries, problems) = tree("# x\na: 1\nb:\n  ü: [x, 'y']\n  c:\nd: |\n  text\n");
    assert!(problems.is_empty());
    let place = Place::new;
    assert_eq!(entries[0].place, place(2, 1));
    assert_eq!(entries[0].value.place, place(2, 4));
    let Kind::Map(inner) = &entries[1].value.kind else {
        panic!()
    };
    assert_eq!(inner[0].place, place(4, 3));
    let Kind::Seq(items) = &inner[0].value.kind else {
        panic!()
    };
    assert_eq!(items[1].place, place(4, 10));
    assert_eq!(
        inner[1].value.place, inner[1].place,
        "a value that isn't there stands at its key"
    );
    assert_eq!(entries[2].place, place(6, 1));
}

#[test]
fn keys_are_what_python_prints() {
    assert_eq!(
        flat("yes: a\n1_0: b\nnull: c\n0x10: d\n'no': e\n1.50: f"),
        ["True=a", "10=b", "None=c", "16=d", "no=e", "1.5=f"]
    );
    assert_eq!(flat("80: a\n'80': b"), ["80=a", "80=b"]);
}

#[test]
fn scalars_keep_their_text() {
    assert_eq!(
        flat("a: 'no'\nb: \"\\u00e9\\t\"\nc: >-\n  x\n  y\n\n  z\nd: |\n  p\n   q\n"),
        ["a=no", "b=é\t", "c=x y\nz", "d=p\n q\n"]
    );
    assert_eq!(
        flat("a: !!str 0755\nb: !!int '7'\nc: ! 12\nd: ! '12'\ne: !!str"),
        ["a=0755", "b=7", "c=12", "d=12", "e="]
    );
    assert_eq!(flat("%YAML 1.1\n---\na: = # : * {}"), ["a=="]);
}

#[test]
fn the_last_of_two_keys_counts_and_both_lines_are_named() {
    let (entries, problems) = tree("e:\n  a: 1\n  b: 2\n  a: 3\n");
    let Kind::Map(inner) = &entries[0].value.kind else {
        panic!()
    };
    assert_eq!(inner.len(), 2);
    assert_eq!(inner[0].place.line, 4);
    assert_eq!(problems[0].code, Code::DuplicateKey);
    assert_eq!(problems[0].key.as_deref(), Some("e.a"));
    assert!(
        problems[0]
            .message
            .contains("line 2 and in line 4; line 4 counts")
    );
}

#[test]
fn aliases_and_merge_keys() {
    assert_eq!(
        flat("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x"),
        ["a={p=1,q=2}", "b={p=1,q=3}", "c={p=1,q=2}"]
    );
    assert_eq!(
        flat("a: &x {p: 1}\nb: &y {p: 2, r: 2}\nc: {<<: [*x, *y]}")[2],
        "c={p=1,r=2}"
    );
    assert_eq!(flat("a: &x {p: 1}\nc:\n  p: 9\n  <<: *x")[1], "c={p=9}");
    assert!(
        tree("a: &x {p: 1}\nc:\n  p: 9\n  <<: *x").1.is_empty(),
        "overriding a merged key is what it is for"
    );
    assert_eq!(flat("a: {'<<': 1}"), ["a={<<=1}"]);
    assert_eq!(refused("a: {<<: 1}").code, Code::Alias);
    assert_eq!(refused("a: *x").code, Code::Alias);
    assert_eq!(refused("a: &x [*x]").code, Code::Alias);
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for n in 1..10 {
        let row = vec![format!("*a{}", n - 1); 9].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{row}]\n"));
    }
    assert_eq!(refused(&laughs).code, Code::Limit);
    let long = format!(
        "a: &a {}\nb: [{}]",
        "x".repeat(10_000),
        vec!["*a"; 2000].join(",")
    );
    assert_eq!(refused(&long).code, Code::Limit);
    assert_eq!(refused(&format!("a: {}", "[".repeat(10_000))).code, Code::Limit);
    assert_eq!(
        refused(&format!("a:\n  {}x", "- ".repeat(10_000))).code,
        Code::Limit
    );
    let chain: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
    assert_eq!(refused(&format!("a0: &a0 [x]\n{chain}")).code, Code::Limit);
}

#[test]
fn what_is_no_yaml_is_explained() {
    let at = |text: &str| {
        let problem = refused(text);
        (problem.code, problem.place.unwrap().line)
    };
    assert_eq!(at("a:\n\tb: 1\n"), (Code::Tab, 2));
    assert_eq!(at("a:\n  b: 1\n\tc: 1\n"), (Code::Tab, 3));
    assert_eq!(at("a:\n\u{a0}\u{a0}b: 1\n"), (Code::NoBreakSpace, 2));
    assert_eq!(at("a:\n  x: 1\n\u{a0}\u{a0}b: 1\n"), (Code::NoBreakSpace, 3));
    assert_eq!(at("a: {{Arguments.X}}\n"), (Code::Template, 1));
    assert_eq!(at("a: 1\nb: {{X}}:1\n"), (Code::Template, 2));
    assert_eq!(at("a: !Ref X\n"), (Code::Template, 1));
    assert_eq!(at("a: !Sub [x, y]\n"), (Code::Template, 1));
    assert_eq!(at("a: !!binary aGk=\n"), (Code::Tag, 1));
    assert_eq!(at("a: !!python/name:os.system x\n"), (Code::Tag, 1));
    assert_eq!(at("a: 'x\nb: 1\n"), (Code::Syntax, 1));
    assert_eq!(at("a: [x, y\n"), (Code::Syntax, 1));
    assert_eq!(refused("a: [x, y").place, Some(Place::new(1, 9)));
    assert_eq!(at("a: 1\rb: [x, y\r"), (Code::Syntax, 3));
    assert_eq!(at("a: @x\n"), (Code::Syntax, 1));
    assert!(!refused("a: @x\n").message.contains('@'));
    assert_eq!(at("a: 1\n---\nb: 2\n"), (Code::SecondDocument, 2));
    assert_eq!(at("[a]: 1\n"), (Code::KeyForm, 1));
    assert_eq!(at("a: 2001-02-30\n"), (Code::Unreadable, 1));
}
