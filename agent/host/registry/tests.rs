//! Against servers of their own, which tell what they were asked with.

use std::sync::{Arc, Mutex};

use monopod_core::secret::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::host::{Class, Classified as _, chain};

const PASSWORD: &str = "canary-password";
/// The base64 of `user:canary-password`.
const BASIC: &str = "Basic dXNlcjpjYW5hcnktcGFzc3dvcmQ=";

/// What a server was asked.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    authorization: Option<String>,
}

#[derive(Default)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn reply(status: u16) -> Reply {
    Reply {
        status,
        ..Reply::default()
    }
}

impl Reply {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

struct Server {
    host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Listens first, so that what it answers may name it.
    async fn start<F: Fn(&Asked) -> Reply + Send + Sync + 'static>(behave: impl FnOnce(&str) -> F) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (behave, asked) = (behave(&host), Arc::<Mutex<Vec<Asked>>>::default());
        let told = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _closed = converse(stream, &behave, &told).await;
            }
        });
        Self { host, asked }
    }

    fn asked(&self) -> Vec<(String, Option<String>)> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|one| (one.path.clone(), one.authorization.clone()))
            .collect()
    }

    fn registry(&self, login: bool) -> Registry {
        let credentials = Credentials {
            registry: self.host.clone(),
            user: "user".to_owned(),
            password: Secret::new(PASSWORD.to_owned()),
            origin: "the login of `dockercfg`".to_owned(),
        };
        Registry::new(&self.host, login.then_some(&credentials), &nowhere()).unwrap()
    }
}

fn nowhere() -> Options {
    Options {
        certificates: PathBuf::from("/nonexistent"),
        ..Options::default()
    }
}

async fn converse(
    stream: TcpStream,
    behave: &impl Fn(&Asked) -> Reply,
    told: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        lines.iter().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let asked = Asked {
        path: lines[0].split(' ').nth(1).unwrap_or_default().to_owned(),
        authorization: header("authorization"),
    };
    let answer = behave(&asked);
    told.lock().unwrap().push(asked);
    let mut head = format!("HTTP/1.1 {} Test\r\nConnection: close\r\n", answer.status);
    if !answer.headers.iter().any(|(name, _)| *name == "Content-Length") {
        head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&answer.body).await?;
    stream.flush().await
}

fn image() -> Value {
    let blob = json!({"mediaType": "x", "digest": digest(b"blob"), "size": 4});
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": blob, "layers": [blob]})
}

fn manifest() -> Reply {
    reply(200)
        .with("Content-Type", OCI_MANIFEST)
        .body(image().to_string())
}

/// A registry that wants a token of its server, both on one port.
fn dance(host: &str, life: u64) -> impl Fn(&Asked) -> Reply + use<> {
    let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"registry\",scope=\"ignored\"");
    let issued = Mutex::new(0);
    move |asked| {
        let mut issued = issued.lock().unwrap();
        if asked.path.starts_with("/token") {
            if asked.authorization.as_deref() != Some(BASIC) {
                return reply(401);
            }
            *issued += 1;
            return reply(200).body(json!({"token": format!("t{issued}"), "expires_in": life}).to_string());
        }
        // Only the newest is good.
        match asked.authorization.as_deref() {
            Some(sent) if sent == format!("Bearer t{issued}") => manifest(),
            _ => reply(401).with("WWW-Authenticate", challenge.clone()),
        }
    }
}

#[tokio::test]
async fn a_manifest_by_tag_with_what_is_said_about_it() {
    let server = Server::start(|_| {
        |_: &Asked| {
            manifest()
                .with("X-Production-Ready-Taupage", "true")
                .with("X-Production-Ready-Reason", "reviewed")
        }
    })
    .await;
    let manifest = server.registry(false).manifest("team/app", "1.0").await.unwrap();
    assert_eq!(manifest.digest, digest(image().to_string().as_bytes()));
    assert_eq!(manifest.trust.production_ready.as_deref(), Some("true"));
    assert_eq!(manifest.trust.reason.as_deref(), Some("reviewed"));
    assert_eq!(manifest.trust.trusted, None);
    assert!(matches!(manifest.content, Content::Single { .. }));
    assert_eq!(server.asked(), [("/v2/team/app/manifests/1.0".to_owned(), None)]);
}

#[tokio::test]
async fn user_and_password_when_they_are_asked_for() {
    let server = Server::start(|_| {
        |asked: &Asked| match asked.authorization.as_deref() {
            Some(BASIC) => manifest(),
            _ => reply(401).with("WWW-Authenticate", "Basic realm=\"x\""),
        }
    })
    .await;
    let registry = server.registry(true);
    registry.manifest("a", "1").await.unwrap();
    registry.manifest("b", "1").await.unwrap();
    let sent: Vec<_> = server.asked().into_iter().map(|(_, sent)| sent).collect();
    // The second one needs no question.
    assert_eq!(sent, [None, Some(BASIC.to_owned()), Some(BASIC.to_owned())]);
}

#[tokio::test]
async fn a_token_is_fetched_once_and_goes_where_it_belongs() {
    let server = Server::start(|host| dance(host, 300)).await;
    let registry = server.registry(true);
    registry.manifest("a/b", "1").await.unwrap();
    registry.manifest("a/b", "2").await.unwrap();
    let asked = server.asked();
    assert_eq!(
        asked[1],
        (
            "/token?service=registry&scope=repository%3Aa%2Fb%3Apull".to_owned(),
            Some(BASIC.to_owned())
        )
    );
    let sent: Vec<_> = asked.iter().map(|(_, sent)| sent.as_deref()).collect();
    assert_eq!(sent, [None, Some(BASIC), Some("Bearer t1"), Some("Bearer t1")]);
}

#[tokio::test]
async fn a_token_that_has_ended_is_fetched_anew() {
    let server = Server::start(|host| dance(host, 5)).await;
    let registry = server.registry(true);
    registry.manifest("a", "1").await.unwrap();
    registry.manifest("a", "1").await.unwrap();
    let sent: Vec<_> = server.asked().into_iter().filter_map(|(_, sent)| sent).collect();
    assert_eq!(sent, [BASIC, "Bearer t1", BASIC, "Bearer t2"]);
}

#[tokio::test]
async fn a_token_that_the_registry_forgot_is_fetched_once_more_and_not_forever() {
    let server = Server::start(|host| {
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        move |asked: &Asked| {
            if asked.path.starts_with("/token") {
                reply(200).body("{\"access_token\": \"t\"}")
            } else {
                reply(401).with("WWW-Authenticate", challenge.clone())
            }
        }
    })
    .await;
    let error = server.registry(false).manifest("a", "1").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Unauthorized { login: None, .. }),
        "{error}"
    );
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_redirect_elsewhere_takes_no_login_along() {
    let store = Server::start(|_| |_: &Asked| reply(200).body("blob").with("X-Trusted", "true")).await;
    let elsewhere = store.host.clone();
    let server = Server::start(|host| {
        let here = host.to_owned();
        move |asked: &Asked| match (asked.authorization.as_deref(), asked.path.as_str()) {
            (None, _) => reply(401).with("WWW-Authenticate", "Basic"),
            (_, "/v2/a/blobs/near") => reply(200).body("blob"),
            // Once within, once without: the login stays, and then it is gone.
            (_, path) if path.starts_with("/v2/") => {
                reply(307).with("Location", format!("http://{here}/moved"))
            }
            _ => reply(302).with("Location", format!("http://{elsewhere}/store?signature=x")),
        }
    })
    .await;
    let bytes = server
        .registry(true)
        .blob("a", &digest(b"blob"), 10)
        .await
        .unwrap();
    assert_eq!(bytes, b"blob");
    assert_eq!(server.asked()[2], ("/moved".to_owned(), Some(BASIC.to_owned())));
    assert_eq!(store.asked(), [("/store?signature=x".to_owned(), None)]);
}

/// Nor does it come back when the redirects lead home again, and nobody but the registry may ask for it.
#[tokio::test]
async fn what_lies_elsewhere_neither_gets_the_login_nor_speaks_for_the_registry() {
    let store = Server::start(|_| {
        |asked: &Asked| {
            if asked.path.starts_with("/asks") {
                reply(401).with("WWW-Authenticate", "Basic")
            } else {
                manifest().with("X-Trusted", "true")
            }
        }
    })
    .await;
    let elsewhere = store.host.clone();
    let server = Server::start(|_| {
        move |asked: &Asked| {
            let to = if asked.path.ends_with("asks") {
                "asks"
            } else {
                "gives"
            };
            match asked.authorization {
                None => reply(401).with("WWW-Authenticate", "Basic"),
                Some(_) => reply(302).with("Location", format!("http://{elsewhere}/{to}")),
            }
        }
    })
    .await;
    let registry = server.registry(true);
    let error = registry.manifest("a", "asks").await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 401, .. }),
        "{error}"
    );
    let manifest = registry.manifest("a", "gives").await.unwrap();
    assert_eq!(manifest.trust, TrustHeaders::default());
    assert!(
        store.asked().iter().all(|(_, sent)| sent.is_none()),
        "{:?}",
        store.asked()
    );
}

#[tokio::test]
async fn redirects_end_and_lead_to_no_unsafe_place() {
    let server = Server::start(|_| {
        |asked: &Asked| match asked.path.rsplit('/').next().unwrap_or_default() {
            "loop" => reply(302).with("Location", asked.path.clone()),
            "open" => reply(302).with("Location", "http://registry.example.org/x?secret=1"),
            _ => reply(302).with("Location", "http://169.254.169.254/latest"),
        }
    })
    .await;
    let registry = server.registry(false);
    let error = registry.manifest("a", "loop").await.unwrap_err();
    assert!(error.to_string().ends_with("more than five times"), "{error}");
    assert_eq!(server.asked().len(), 6);
    for reference in ["open", "metadata"] {
        let error = registry.manifest("a", reference).await.unwrap_err();
        assert!(matches!(error, RegistryError::Unsafe { .. }), "{error}");
        assert!(!chain(&error).contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_token_server_without_tls_gets_no_login() {
    let server = Server::start(|_| {
        |_: &Asked| reply(401).with("WWW-Authenticate", "Bearer realm=\"http://token.example.org/t\"")
    })
    .await;
    let error = server.registry(true).manifest("a", "1").await.unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    let text = error.to_string();
    assert!(
        text.contains("http://token.example.org") && text.contains("not https"),
        "{text}"
    );
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_refused() {
    let server = Server::start(|_| |_: &Asked| manifest()).await;
    let registry = server.registry(false);
    let wrong = digest(b"other");
    let error = registry.manifest("a", &wrong).await.unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    let error = registry.blob("a", &wrong, 4096).await.unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    let right = digest(image().to_string().as_bytes());
    assert_eq!(registry.manifest("a", &right).await.unwrap().digest, right);
}

#[tokio::test]
async fn nothing_is_read_beyond_its_limit() {
    let server = Server::start(|_| |_: &Asked| reply(200).body(vec![b'x'; 100])).await;
    let error = server
        .registry(false)
        .blob("a", &digest(b"x"), 99)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::TooLarge { limit: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_not_waited_for() {
    let server = Server::start(|_| |_: &Asked| reply(200).with("Content-Length", "100").body("x")).await;
    let error = server
        .registry(false)
        .blob("a", &digest(b"x"), 200)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    assert_eq!(error.class(), Class::Transient);
}

/// Every refusal, as people read it.
#[tokio::test]
async fn refusals_as_people_read_them() {
    let server = Server::start(|host| {
        let challenge = format!("Bearer realm=\"http://{host}/token/denied\"");
        move |asked: &Asked| {
            let denied = json!({"errors": [{"code": "DENIED", "message": "not\tyours"}]}).to_string();
            match asked.path.rsplit('/').next().unwrap_or_default() {
                "gone" => reply(404),
                "basic" => reply(401).with("WWW-Authenticate", "Basic"),
                "bearer" => reply(401).with("WWW-Authenticate", challenge.clone()),
                "forbidden" => reply(403).body(denied),
                "often" => reply(429).with("Retry-After", "17"),
                "busy" => reply(503),
                "odd" => reply(418).body(denied),
                "old" => reply(200).body("{\"schemaVersion\": 1}"),
                "html" => reply(200).with("Content-Type", "text/html").body("<html>"),
                _ => reply(401),
            }
        }
    })
    .await;
    let mut told = String::new();
    for (login, references) in [
        (
            false,
            &[
                "gone",
                "basic",
                "bearer",
                "forbidden",
                "often",
                "busy",
                "odd",
                "old",
                "html",
            ][..],
        ),
        (true, &["basic", "bearer", "forbidden"][..]),
    ] {
        for reference in references {
            let error = server
                .registry(login)
                .manifest("team/app", reference)
                .await
                .unwrap_err();
            told.push_str(&format!("{:?}: {}\n", error.class(), chain(&error)));
        }
    }
    assert!(!told.contains(PASSWORD) && !told.contains("dXNlcj"), "{told}");
    let told = told.replace(&server.host, "HOST");
    expect_test::expect_file!["../../../tests/golden/registry.txt"].assert_eq(&told);
}

#[test]
fn a_login_is_for_its_own_registry() {
    let credentials = Credentials {
        registry: "a.example.org".to_owned(),
        user: "user".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        origin: "the login of `dockercfg`".to_owned(),
    };
    let registry = Registry::new("b.example.org", Some(&credentials), &nowhere()).unwrap();
    assert_eq!(registry.logins.origin(), None);
    assert!(!format!("{registry:?} {credentials:?}").contains(PASSWORD));
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let folder = std::env::temp_dir().join(format!("monopod-certificates-{}", std::process::id()));
    let own = folder.join("registry.example.org:5000");
    std::fs::create_dir_all(&own).unwrap();
    let options = Options {
        certificates: folder.clone(),
        ..Options::default()
    };
    let error = |file: &str| {
        std::fs::write(own.join(file), "nothing").unwrap();
        let error = Registry::new("registry.example.org:5000", None, &options).unwrap_err();
        std::fs::remove_file(own.join(file)).unwrap();
        assert_eq!(error.class(), Class::Permanent);
        error.to_string()
    };
    let text = error("ca.crt");
    assert!(text.contains("ca.crt") && text.contains("PEM"), "{text}");
    let text = error("client.cert");
    assert!(
        text.contains("client.cert") && text.contains("dockercfg"),
        "{text}"
    );
    // A name that would be a path elsewhere never becomes one.
    assert!(matches!(
        Registry::new("../registry.example.org:5000", None, &options).unwrap_err(),
        RegistryError::Host { .. }
    ));
    std::fs::remove_dir_all(folder).unwrap();
}
