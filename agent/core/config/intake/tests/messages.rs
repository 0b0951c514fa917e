//! MIME.

use super::*;

#[test]
fn the_one_part_with_our_header_is_taken() {
    let script = part(
        "Content-Type: text/x-shellscript; charset=\"us-ascii\"",
        format!("#!/bin/sh\necho {CANARY}"),
    );
    let ours = part("Content-Type: text/plain\nX-Folded: a\n\tb", OURS);
    let config = part("Content-Type: text/cloud-config", "#cloud-config\n");
    let (text, problems) = read(&multipart(&[&script, &ours, &config]));
    assert_eq!(text, OURS);
    assert_eq!(problems.len(), 2);
    for (problem, words) in problems.iter().zip([
        ["part 1 ", "(text/x-shellscript)"],
        ["part 3 ", "(text/cloud-config)"],
    ]) {
        assert_eq!(
            (problem.code, problem.severity),
            (Code::PartIgnored, Severity::Warning)
        );
        assert!(
            words.iter().all(|word| problem.message.contains(word)),
            "{problem:?}"
        );
        assert!(!format!("{problem:?}").contains(CANARY));
    }
    refused_as(&multipart(&[&script, &config]), Code::NoPart, "no part");
    refused_as(&multipart(&[]), Code::NoPart, "no part");
    refused_as(
        &multipart(&[&ours, &script, &ours]),
        Code::TwoParts,
        "parts 1 and 3",
    );
    refused_as(&part("MIME-Version: 1.0", "#!/bin/sh"), Code::NoPart, "no part");
}

#[test]
fn a_type_that_is_none_is_not_repeated() {
    let odd = part(&format!("Content-Type: {CANARY} \x1b[31m"), "x");
    let problems =
        taken(&multipart(&[OURS.as_bytes(), &odd]).replace_first(b"--===12==\n#", b"--===12==\n\n#"));
    assert!(
        problems[0]
            .message
            .contains("part 2 of the MIME message (of another type)"),
        "{problems:?}"
    );
}

trait ReplaceFirst {
    fn replace_first(self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl ReplaceFirst for Vec<u8> {
    fn replace_first(self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = self
            .windows(from.len())
            .position(|window| window == from)
            .expect("it is there");
        [&self[..at], to, &self[at + from.len()..]].concat()
    }
}

#[test]
fn transfer_encodings() {
    let of = |encoding: &str, content: &[u8]| {
        multipart(&[&part(&format!("Content-Transfer-Encoding: {encoding}"), content)])
    };
    for plain in ["7bit", "8BIT", "binary"] {
        gives(
            &of(plain, b"#taupage-ami-config\na: \xc3\xa9"),
            "#taupage-ami-config\na: é",
        );
    }
    gives(&of("base64", &base64(OURS)), OURS);
    gives(&of("base64", &base64(gzip(OURS))), OURS);
    let quoted = b"#taupage-ami-config=20\r\na: =C3=A9 is =\r\nlong=  \r\n, b=3d1 \r\n\r\nc: 1";
    gives(
        &of("Quoted-Printable", quoted),
        "#taupage-ami-config \na: é is long, b=1\n\nc: 1",
    );
    refused_as(
        &of("uuencode", OURS.as_bytes()),
        Code::Encoded,
        "quoted-printable",
    );
    refused_as(
        &of("base64", format!("I3RhdX!{CANARY}").as_bytes()),
        Code::Encoded,
        "line 1 has something else in column 7",
    );
    refused_as(&of("base64", b"I3RhdXB"), Code::Encoded, "cut off");
    refused_as(&of("quoted-printable", b"a\nb=4\n"), Code::Encoded, "its line 2");
    refused_as(&of("quoted-printable", b"a=G1"), Code::Encoded, "its line 1");
}

#[test]
fn nested_and_odd_messages() {
    let inner = format!(
        "Content-Type: multipart/alternative;\n boundary=abc\n\n--abc\n\n#!/bin/sh\n--abc\nContent-Type: text/plain\n\n{OURS}\n--abc--\n"
    );
    let (text, problems) = read(&multipart(&[inner.as_bytes(), &part("A: b", "x")]));
    assert_eq!(text, OURS);
    assert!(problems[0].message.starts_with("part 1.1 of"), "{problems:?}");
    assert!(problems[1].message.starts_with("part 2 of"), "{problems:?}");
    // As Python writes an mbox, with the other line ends, and with a boundary that continues ours.
    let message = String::from_utf8(multipart(&[&part("A: b", OURS)])).unwrap();
    gives(
        format!("From nobody Mon Jan  1 00:00:00 2024\n{message}").as_bytes(),
        OURS,
    );
    gives(
        message.replace('\n', "\r\n").as_bytes(),
        &OURS.replace('\n', "\r\n"),
    );
    gives(
        message.replace("a: 1", "--===12==34").as_bytes(),
        &OURS.replace("a: 1", "--===12==34"),
    );
    let wrapped = |boundary: &str, part: &str| {
        format!("Content-Type: multipart/mixed; boundary={boundary}\n\n--{boundary}\n{part}\n--{boundary}--")
    };
    let twice = wrapped("a", &wrapped("b", &format!("\n{OURS}")));
    gives(&multipart(&[twice.as_bytes()]), OURS);
    let deep = wrapped("c", &twice);
    refused_as(&multipart(&[deep.as_bytes()]), Code::Encoded, "nested too deeply");
    // Three wrappings are all there is: gzip is one of them.
    refused_as(
        &gzip(multipart(&[twice.as_bytes()])),
        Code::Encoded,
        "nested too deeply",
    );
}

#[test]
fn broken_messages_say_where() {
    let message = String::from_utf8(multipart(&[&part("A: b", OURS)])).unwrap();
    let cut = message.find("--===12==--").unwrap();
    refused_as(
        &message.as_bytes()[..cut],
        Code::Encoded,
        "its last boundary is missing",
    );
    for (from, to, word) in [
        ("; boundary=\"===12==\"", "", "names no usable boundary"),
        ("; boundary=\"===12==\"", "; boundary=\"===12==", "not closed"),
        (
            "; boundary=\"===12==\"",
            "; boundary=a; boundary=b",
            "two boundaries",
        ),
        (
            "MIME-Version: 1.0",
            "Content-Type: text/plain",
            "stands twice, at its line 2",
        ),
        (
            "MIME-Version: 1.0",
            CANARY,
            "no header field, and no empty line stands before it, at its line 2",
        ),
        ("A: b", CANARY, "at its line 6"),
        (
            "MIME-Version: 1.0",
            "Content-Transfer-Encoding: base64",
            "which MIME forbids",
        ),
    ] {
        refused_as(message.replacen(from, to, 1).as_bytes(), Code::Encoded, word);
    }
    let many: Vec<&[u8]> = vec![b"\nx"; 33];
    refused_as(&multipart(&many), Code::Encoded, "more than 32 parts");
}

#[test]
fn a_part_that_is_packed_badly_is_an_error_and_one_that_is_large_is_somebody_elses() {
    let ours = part("A: b", OURS);
    let large = gzip("x".repeat(1 << 20));
    let (text, problems) = read(&multipart(&[&ours, &part("A: b", &large)]));
    assert_eq!((text.as_str(), problems.len()), (OURS, 1));
    let small = gzip(CANARY);
    refused_as(
        &multipart(&[&ours, &part("A: b", &small[..small.len() - 9])]),
        Code::Encoded,
        "part 2 of the MIME message is gzip, and it is cut off",
    );
}
