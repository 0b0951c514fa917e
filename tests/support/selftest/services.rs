//! Metadata, registry and AWS, as a machine sees them.

use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use monopod_testrig::{
    AWS_PORT, AwsFault, IMDS_PORT, Image, Machine, REGISTRY_PASSWORD, REGISTRY_PORT, Response, Token, pause,
    wait_until,
};
use serde_json::{Value, json};

use crate::{SOON, login, shell};

/// A raw Decrypt, signed in name only: the stand-in looks at the key id and nothing else.
fn decrypt(machine: &Machine, value: &str) -> (u16, Value) {
    let blob = value.strip_prefix("aws:kms:").unwrap_or(value);
    let body = json!({"CiphertextBlob": blob}).to_string();
    let answer = machine
        .inside(|| {
            use std::io::{Read as _, Write as _};
            let mut stream = TcpStream::connect(("127.0.0.1", AWS_PORT))?;
            write!(
                stream,
                "POST / HTTP/1.0\r\nHost: kms.eu-central-1.amazonaws.com\r\nX-Amz-Target: TrentService.Decrypt\r\n\
                 Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\nAuthorization: AWS4-HMAC-SHA256 \
                 Credential={}/20260101/eu-central-1/kms/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}",
                body.len(),
                machine.aws().access_key(),
            )?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            stream.shutdown(Shutdown::Both).ok();
            Ok(text)
        })
        .unwrap();
    let status = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
    (
        status,
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap(),
    )
}

#[test]
fn metadata_wants_a_token() {
    let machine = Machine::acquire();
    machine.set_user_data("#taupage-ami-config\n");
    let get = |path: &str| machine.http_get(IMDS_PORT, path).unwrap();
    assert_eq!(get("/latest/user-data").status, 401);
    assert_eq!(get("/latest/api/token").status, 405);

    let ask = "T=$(busybox wget -q -O - --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
               --post-data '' http://127.0.0.1:1338/latest/api/token); echo \"token $T\"";
    let agent = machine.spawn_command(shell(&machine, ask));
    agent.wait_for_line("token", SOON);
    // busybox can only POST, and a token is only given for a PUT.
    assert!(
        machine
            .imds()
            .calls()
            .iter()
            .any(|call| call.method == "POST" && call.status == 405)
    );

    let with = |token: &str| imds_get(&machine, "/latest/user-data", token);
    let token = imds_token(&machine, 1);
    assert_eq!(with(&token).status, 200);
    assert_eq!(with(&token).text(), "#taupage-ami-config\n");
    assert_eq!(with("made-up").status, 401);
    pause(Duration::from_millis(1100));
    assert_eq!(with(&token).status, 401, "the token lived for a second");

    let token = imds_token(&machine, 60);
    let document: Value = serde_json::from_slice(
        &imds_get(&machine, "/latest/dynamic/instance-identity/document", &token).body,
    )
    .unwrap();
    assert_eq!(document["instanceId"], machine.imds().instance_id());
    assert_eq!(document["accountId"], "123456789012");
    machine.imds().clear_user_data();
    assert_eq!(with(&token).status, 404);
    assert!(
        machine
            .imds()
            .calls()
            .iter()
            .any(|call| call.token == Token::Good)
    );
}

fn imds_token(machine: &Machine, ttl: u64) -> String {
    let answer = imds_raw(
        machine,
        &format!("PUT /latest/api/token HTTP/1.0\r\nX-aws-ec2-metadata-token-ttl-seconds: {ttl}"),
    );
    assert_eq!(
        answer.header("x-aws-ec2-metadata-token-ttl-seconds"),
        Some(ttl.to_string().as_str())
    );
    answer.text()
}

fn imds_get(machine: &Machine, path: &str, token: &str) -> Response {
    imds_raw(
        machine,
        &format!("GET {path} HTTP/1.0\r\nX-aws-ec2-metadata-token: {token}"),
    )
}

fn imds_raw(machine: &Machine, head: &str) -> Response {
    use std::io::{BufRead as _, Read as _, Write as _};
    let read = machine.inside(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", IMDS_PORT))?;
        write!(stream, "{head}\r\n\r\n")?;
        let mut reader = std::io::BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status)?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .unwrap()
            .1
            .parse()
            .unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Response {
            status: status.split_whitespace().nth(1).unwrap().parse().unwrap(),
            headers,
            body,
        })
    });
    read.unwrap()
}

#[test]
fn metadata_has_outages() {
    let machine = Machine::acquire();
    let status = |path: &str| machine.http_get(IMDS_PORT, path).map(|answer| answer.status);
    machine.imds().always(503);
    assert_eq!(status("/latest/user-data").unwrap(), 503);
    machine.imds().version_one();
    assert_eq!(status("/latest/meta-data/instance-id").unwrap(), 200);
    assert_eq!(status("/latest/api/token").unwrap(), 404);
    machine.imds().heal();
    let token = imds_token(&machine, 60);
    machine.imds().expire_tokens();
    assert_eq!(imds_get(&machine, "/latest/user-data", &token).status, 401);
    let token = imds_token(&machine, 60);
    machine.imds().expire_tokens_after(1);
    let again = || imds_get(&machine, "/latest/meta-data/instance-id", &token).status;
    assert_eq!((again(), again(), again()), (200, 401, 401));
    machine.imds().down();
    assert!(status("/latest/user-data").is_err());
    machine.imds().late_by(Duration::from_millis(300));
    let began = Instant::now();
    wait_until(SOON, || status("/latest/user-data").ok()).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(250));
}

#[test]
fn the_registry_wants_a_password() {
    let machine = Machine::acquire();
    let image = machine.registry().image("web");
    let refused = machine.docker(&["pull", &image]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no basic auth credentials"));
    assert_eq!(machine.registry().ask("/v2/", None).status, 401);
    assert_eq!(machine.registry().ask("/v2/", Some("wrong")).status, 401);
    assert_eq!(
        machine.registry().ask("/v2/", Some(REGISTRY_PASSWORD)).status,
        200
    );

    login(&machine);
    machine.docker_ok(&["pull", "-q", &image]);
    let digests = machine.docker_ok(&["image", "inspect", "-f", "{{.RepoDigests}}", &image]);
    assert!(digests.contains(&machine.registry().digest("web")), "{digests}");

    let mine = machine
        .registry()
        .push(&Image::tagged("selftest", "v2", "echo made here"));
    assert_eq!(machine.docker_ok(&["run", "--rm", &mine]), "made here");
    machine.forget_images();
    assert_eq!(machine.docker_ok(&["images", "-q"]), "");
}

#[test]
fn the_line_to_the_registry_breaks_on_demand() {
    let machine = Machine::acquire();
    login(&machine);
    let (line, image) = (machine.registry().line(), machine.registry().image("large"));
    let status = || {
        machine
            .http_get(REGISTRY_PORT, "/v2/")
            .map(|answer| answer.status)
    };
    assert_eq!(status().unwrap(), 401);
    line.down();
    assert!(status().is_err());
    assert!(!machine.docker(&["pull", "-q", &image]).status.success());
    line.up();
    assert_eq!(status().unwrap(), 401);

    line.answer(503, 1);
    assert_eq!((status().unwrap(), status().unwrap()), (503, 401));
    let before = line.connections();
    line.cut_after(1 << 20, 2);
    // The engine asks again by itself for what was cut.
    machine.docker_ok(&["pull", "-q", &image]);
    assert_eq!(line.cuts_left(), 0);
    assert!(line.connections() > before);

    machine.forget_images();
    line.throttle(8 << 20);
    let began = Instant::now();
    machine.docker_ok(&["pull", "-q", &image]);
    assert!(
        began.elapsed() > Duration::from_millis(700),
        "20 MB at 8 MB/s a connection took {:?}",
        began.elapsed()
    );
    line.heal();
    line.delay(Duration::from_millis(300));
    let began = Instant::now();
    assert_eq!(status().unwrap(), 401);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn kms_encrypts_and_decrypts_and_fails_on_demand() {
    let [machine, other] = Machine::acquire_several();
    let value = machine.aws().encrypt("canary-plaintext");
    let (status, answer) = decrypt(&machine, &value);
    assert_eq!(
        (status, &answer["Plaintext"]),
        (200, &json!("Y2FuYXJ5LXBsYWludGV4dA=="))
    );

    let (status, answer) = decrypt(&machine, "Z2FyYmFnZQ==");
    assert_eq!(
        (status, &answer["__type"]),
        (400, &json!("InvalidCiphertextException"))
    );
    let (status, answer) = decrypt(&machine, &machine.aws().encrypt_in("us-east-1", "elsewhere"));
    assert_eq!(
        (status, &answer["__type"]),
        (400, &json!("AccessDeniedException"))
    );

    machine
        .aws()
        .faults(&[AwsFault::error("Decrypt", "ThrottlingException").times(2)]);
    assert_eq!(decrypt(&machine, &value).1["__type"], "ThrottlingException");
    assert_eq!(
        decrypt(&other, &value).0,
        200,
        "another machine's faults are its own"
    );
    assert_eq!(decrypt(&machine, &value).0, 400);
    assert_eq!(decrypt(&machine, &value).0, 200);

    machine
        .aws()
        .faults(&[AwsFault::slow("Decrypt", Duration::from_millis(300))]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| decrypt(&machine, &value));
        }
    });
    assert_eq!(machine.aws().max_concurrent_decrypts(), 3);
    assert_eq!(machine.aws().decrypt_calls(), 9);
    assert_eq!(other.aws().decrypt_calls(), 1);
    machine.aws().line().down();
    assert!(machine.http_get(AWS_PORT, "/").is_err());
}
