//! Plain text, gzip and base64.

use super::*;

#[test]
fn the_header_as_cloud_init_took_it() {
    for bytes in [
        "#taupage-ami-config",
        "#taupage-ami-config\na: 1",
        "#Taupage-AMI-Config\r\na: 1",
        "\n \n#taupage-ami-config",
        "#taupage-ami-config for my team\na: 1",
    ] {
        assert!(taken(bytes.as_bytes()).is_empty(), "{bytes}");
    }
}

#[test]
fn what_is_not_ours_is_named() {
    for (bytes, code, word) in [
        ("", Code::Empty, "no user data"),
        (" \n\t\n", Code::Empty, "no user data"),
        ("\u{feff}#taupage-ami-config\n", Code::Header, "byte order"),
        ("---\n#taupage-ami-config", Code::Header, "marker"),
        ("# hello\n#taupage-ami-config", Code::Header, "not the first"),
        ("a: 1", Code::Header, "missing"),
        ("#includes s3://a/b", Code::Header, "missing"),
        ("#cloud-config\n", Code::Header, "cloud-config"),
        ("#!/bin/sh\n", Code::Header, "script"),
        // Nobody's base64, and nobody's message.
        ("aGVsbG8gd29ybGQgaGVsbG8gd29ybGQK", Code::Header, "missing"),
        ("application_id: a\nContent: b\n", Code::Header, "missing"),
    ] {
        let problem = refused(bytes.as_bytes());
        assert_eq!(problem.code, code, "{bytes}");
        assert!(problem.message.contains(word), "{bytes}: {}", problem.message);
        assert!(problem.help.is_some(), "{bytes}");
    }
    refused_as(&gzip("#cloud-config\n"), Code::Header, "cloud-config");
    refused_as(&gzip(" \n"), Code::Empty, "no user data");
}

#[test]
fn bytes_that_are_no_text() {
    for packed in [false, true] {
        let pack = |bytes: &[u8]| if packed { gzip(bytes) } else { bytes.to_vec() };
        let problem = refused(&pack(b"#taupage-ami-config\nab\xff: 1"));
        assert_eq!(
            (problem.code, problem.place),
            (Code::NotUtf8, Some(Place::new(2, 3)))
        );
        let problem = taken(&pack(b"#taupage-ami-config\na: \x1b[31m")).remove(0);
        assert_eq!(
            (problem.code, problem.place),
            (Code::Unprintable, Some(Place::new(2, 4)))
        );
    }
}

#[test]
fn sizes_of_plain_text() {
    let of = |size: usize| format!("{HEADER}\n#{}", "x".repeat(size - HEADER.len() - 2));
    assert!(taken(of(EC2_LIMIT).as_bytes()).is_empty());
    assert_eq!(taken(of(EC2_LIMIT + 1).as_bytes())[0].code, Code::OverEc2Limit);
    assert_eq!(taken(of(FILE_LIMIT).as_bytes()).len(), 1);
    assert_eq!(refused(of(FILE_LIMIT + 1).as_bytes()).code, Code::TooLarge);
    // What EC2 carries is the packed form.
    assert!(taken(&gzip(of(FILE_LIMIT))).is_empty());
    assert_eq!(refused(&gzip(of(FILE_LIMIT + 1))).code, Code::TooLarge);
}

#[test]
fn every_form_by_itself() {
    gives(OURS.as_bytes(), OURS);
    gives(&gzip(OURS), OURS);
    gives(&base64(OURS), OURS);
    gives(STANDARD.encode(OURS).as_bytes(), OURS);
    gives(format!("\n{}\r\n", STANDARD.encode(OURS)).as_bytes(), OURS);
    gives(&multipart(&[&part("Content-Type: text/taupage", OURS)]), OURS);
    gives(&part("MIME-Version: 1.0\nContent-Type: text/plain", OURS), OURS);
    // Two members, as `cat a.gz b.gz` makes them, and the padding of a tape.
    let mut members = gzip("#taupage-ami-config\n");
    members.extend(gzip("a: 1\n"));
    members.extend([0; 4]);
    gives(&members, OURS);
}

#[test]
fn three_times_and_no_more() {
    gives(&base64(gzip(OURS)), OURS);
    gives(&gzip(base64(OURS)), OURS);
    gives(&gzip(gzip(gzip(OURS))), OURS);
    gives(&base64(base64(base64(OURS))), OURS);
    let message = multipart(&[&part("Content-Type: text/plain", OURS)]);
    gives(&base64(gzip(&message)), OURS);
    gives(&gzip(multipart(&[&part("A: b", gzip(OURS))])), OURS);
    for packed in [
        gzip(gzip(gzip(gzip(OURS)))),
        gzip(gzip(gzip(multipart(&[OURS.as_bytes()])))),
        gzip(gzip(multipart(&[&part("A: b", gzip(OURS))]))),
        multipart(&[&part("A: b", gzip(gzip(gzip(OURS))))]),
    ] {
        refused_as(&packed, Code::Nesting, "more than 3 times");
    }
    // What comes out of the last layer is not looked at, so nobody can make it go on.
    refused_as(
        &base64(base64(base64(base64(OURS)))),
        Code::Nesting,
        "more than 3 times",
    );
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let mut bomb = Vec::new();
    let mut encoder = GzEncoder::new(&mut bomb, Compression::best());
    encoder.write_all(b"#taupage-ami-config\n").unwrap();
    for _ in 0..32 {
        encoder.write_all(&[b'#'; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap();
    assert!(bomb.len() < FILE_LIMIT);
    refused_as(&bomb, Code::TooLarge, "64 KiB");
    let Err(unpack::GunzipError::TooLarge { begin }) = unpack::gunzip(&bomb) else {
        panic!("it is too large");
    };
    assert_eq!(begin.len(), FILE_LIMIT + 1);
    assert!(begin.capacity() <= FILE_LIMIT + 2, "{}", begin.capacity());
    // A bomb of a bomb, one in many members, and one in a part.
    refused_as(&gzip(&bomb), Code::TooLarge, "64 KiB");
    refused_as(&multipart(&[&part("A: b", &bomb)]), Code::TooLarge, "64 KiB");
    let member = gzip("x".repeat(FILE_LIMIT / 8));
    refused_as(&member.repeat(64), Code::TooLarge, "64 KiB");
}

#[test]
fn broken_gzip_says_where() {
    let whole = gzip(format!("{OURS}b: {CANARY}\n"));
    for cut in 3..whole.len() {
        let bytes = whole.get(..cut).unwrap();
        refused_as(bytes, Code::Encoded, &format!("cut off after {cut} bytes"));
    }
    let mut changed = whole.clone();
    let checksum = changed.len() - 8;
    changed[checksum] ^= 1;
    refused_as(&changed, Code::Encoded, &format!("of {}", whole.len()));
    for index in 2..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 0xff;
        // A flag or the time in its head may change and harm nobody; a quote of the text would.
        if let Err(problem) = text(&changed, Holes::Refused, &mut Vec::new()) {
            assert!(!format!("{problem:?}").contains(CANARY));
        }
    }
    let mut followed = whole.clone();
    followed.extend(b"\n");
    refused_as(
        &followed,
        Code::Encoded,
        &format!("at byte {} of {}", whole.len(), followed.len()),
    );
}

#[test]
fn broken_base64_says_where() {
    let text = format!("{OURS}{}b: {CANARY}\n", "# comment\n".repeat(20));
    let mut lines = base64(&text);
    let cut = lines.get(..lines.len() - 4).unwrap();
    refused_as(cut, Code::Encoded, "cut off");
    lines[77 + 6] = b'!';
    refused_as(&lines, Code::Encoded, "line 2 has something else in column 7");
}

#[test]
fn problems_point_into_the_unpacked_text() {
    let yaml = format!("{OURS}environment:\n  PASSWORD: [{CANARY}\n");
    for bytes in [
        gzip(&yaml),
        base64(&yaml),
        gzip("#taupage-ami-config\nheath_check_path: x\n"),
    ] {
        let report = parse(&bytes, "user data");
        let shown = report.render(Style::Plain);
        assert!(shown.contains("user data:") && !shown.contains(CANARY), "{shown}");
    }
    let bytes = gzip("#taupage-ami-config\nsource: 1\n");
    let shown = parse(&bytes, "user data").render(Style::Plain);
    assert!(shown.contains("2 | source: 1"), "{shown}");
}
