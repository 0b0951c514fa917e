//! Raw requests to AWS, as a client that signs in name only.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use monopod_testrig::{Aws, Response};

/// The service both kinds of load balancers sign for.
pub(crate) const ELB: &str = "elasticloadbalancing";

/// One request, and all of its answer.
pub(crate) fn send(aws: &Aws, head: &str, body: &[u8]) -> io::Result<Response> {
    let mut stream = TcpStream::connect(aws.endpoint().trim_start_matches("http://"))?;
    write!(
        stream,
        "{head}\r\nHost: aws\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("no answer"))?;
    let header = |line: &str| {
        line.split_once(": ")
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
    };
    Ok(Response {
        status: head.split_whitespace().nth(1).unwrap().parse().unwrap(),
        headers: head.lines().filter_map(header).collect(),
        body: body.into(),
    })
}

/// Signed in name only.
pub(crate) fn signed(aws: &Aws, service: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/eu-central-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0",
        aws.access_key()
    )
}

/// A call of the query protocol as a form.
pub(crate) fn form(op: &str, params: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect::<String>()
    };
    let mut form = format!("Action={op}&Version=2010-05-15");
    for (name, value) in params {
        form.push_str(&format!("&{name}={}", encode(value)));
    }
    form
}

/// A form with these headers.
pub(crate) fn post(aws: &Aws, headers: &str, form: &str) -> io::Result<Response> {
    let head = format!("POST / HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}");
    send(aws, &head, form.as_bytes())
}

/// A call of the query protocol: the status and the text.
pub(crate) fn query(aws: &Aws, service: &str, op: &str, params: &[(&str, &str)]) -> (u16, String) {
    let answer = post(aws, &signed(aws, service), &form(op, params)).unwrap();
    (answer.status, answer.text())
}
