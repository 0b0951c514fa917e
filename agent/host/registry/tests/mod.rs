//! Against servers of their own, which tell what they were asked with.

mod answers;
mod logins;
mod redirects;

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

fn digest(bytes: &[u8]) -> String {
    digest_as("sha256:", bytes)
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
