//! A server of a test's own: it answers as it is told, and tells what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// `GET /?Action=x HTTP/1.1`.
    pub(super) line: String,
    /// In their order.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// What it is answered with.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    cut: bool,
    silent: bool,
}

pub(super) fn reply(status: u16, body: impl Into<String>) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.into(),
        cut: false,
        silent: false,
    }
}

/// A connection that is taken, and nothing more.
pub(super) fn silence() -> Reply {
    Reply {
        silent: true,
        ..reply(200, "")
    }
}

/// An error of the query protocol.
pub(super) fn failure(status: u16, code: &str, message: &str) -> Reply {
    reply(
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        ),
    )
}

/// What is no answer of AWS's, by name.
pub(super) fn nonsense() -> [(&'static str, Reply); 4] {
    [
        ("html", reply(200, "<html><body>It works!</body></html>")),
        ("empty", reply(200, "")),
        ("noise", reply(200, "\u{1}\u{2}{[<")),
        (
            "truncated",
            reply(200, "<DescribeTargetHealthResponse><Descr").cut(),
        ),
    ]
}

impl Reply {
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// More is promised than comes.
    pub(super) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }
}

pub(super) struct Server {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(super) async fn start(behave: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (behave, asked) = (Arc::new(behave), Arc::<Mutex<Vec<Asked>>>::default());
        let told = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (behave, told) = (Arc::clone(&behave), Arc::clone(&told));
                tokio::spawn(async move { converse(stream, &*behave, &told).await.ok() });
            }
        });
        Self { url, asked }
    }

    /// The same answer to everything.
    pub(super) async fn saying(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn converse(
    stream: TcpStream,
    behave: &(impl Fn(&Asked) -> Reply + Sync),
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
        lines.push(line.trim_end().to_owned());
    }
    if lines.is_empty() {
        return Ok(());
    }
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .map(|line| line.split_once(':').unwrap())
        .map(|(key, value)| (key.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(key, _)| key == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    stream.read_exact(&mut body).await?;
    let asked = Asked {
        line: lines.swap_remove(0),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let reply = behave(&asked);
    told.lock().unwrap().push(asked);
    if reply.silent {
        // Until the other side gives up.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await?;
        return Ok(());
    }
    let length = reply.body.len() + if reply.cut { 100 } else { 0 };
    let mut head = format!(
        "HTTP/1.1 {} Test\r\nConnection: close\r\nContent-Length: {length}\r\n",
        reply.status
    );
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(reply.body.as_bytes()).await?;
    stream.flush().await
}

/// An empty directory of a test's own.
pub(super) fn temporary_directory(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("monopod-{name}-{}", std::process::id()));
    // Left by a run that failed.
    let _gone = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
