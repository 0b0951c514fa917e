//! The receiver: one thread, one connection at a time, one request a connection.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What becomes of a request.
pub(super) enum Act {
    /// An answer.
    Status(u16),
    /// It is taken, and the answer never arrives.
    Cut,
    /// The answer comes when something is sent here; at once if the other end is gone.
    After(mpsc::Receiver<()>, u16),
}

/// What came.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) json: Value,
    pub(super) data: Vec<u8>,
    pub(super) authorization: String,
}

#[derive(Default)]
struct Shared {
    acts: Mutex<VecDeque<Act>>,
    bodies: Mutex<Vec<Body>>,
}

pub(super) struct Receiver {
    shared: Arc<Shared>,
    port: u16,
}

impl Receiver {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener)
    }

    pub(super) fn on(listener: TcpListener) -> Self {
        let shared = Arc::<Shared>::default();
        let port = listener.local_addr().unwrap().port();
        let of_thread = Arc::clone(&shared);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                drop(serve(&stream, &of_thread));
            }
        });
        Self { shared, port }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/instance-logs", self.port)
    }

    /// What becomes of the next requests; after those each is taken.
    pub(super) fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.acts.lock().unwrap().extend(acts);
    }

    /// Everything that came, taken or not.
    pub(super) fn bodies(&self) -> Vec<Body> {
        self.shared.bodies.lock().unwrap().clone()
    }

    pub(super) fn of(&self, log_type: &str) -> Vec<Body> {
        let mut all = self.bodies();
        all.retain(|body| body.json["log_type"] == log_type);
        all
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut authorization, mut line) = (0, String::new(), String::new());
    reader.read_line(&mut line)?;
    assert!(line.starts_with("POST /instance-logs "), "{line}");
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" => authorization = value.trim().to_owned(),
            "content-type" => assert_eq!(value.trim(), "application/json"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let json: Value = serde_json::from_slice(&body).unwrap();
    let data = STANDARD.decode(json["log_data"].as_str().unwrap()).unwrap();
    let act = shared.acts.lock().unwrap().pop_front();
    shared.bodies.lock().unwrap().push(Body {
        json,
        data,
        authorization,
    });
    let status = match act.unwrap_or(Act::Status(201)) {
        Act::Cut => return Ok(()),
        Act::Status(status) => status,
        Act::After(word, status) => {
            let _other_end_gone = word.recv().is_err();
            status
        }
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    )
}
