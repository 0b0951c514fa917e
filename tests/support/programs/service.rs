//! A web application that does as it is told while it runs, for tests of probes, restarts and drains. It needs the script
//! images/service.sh around it, which is the container's first process and passes SIGTERM on.
//!
//! Listens on PORT (8080). Everything is a GET:
//!
//! ```text
//! /health                          its status is STATUS (200), after SLOW_MS (0)
//! /set?status=503[&keep=1]         the status of /health from now on; kept over restarts of the container with `keep`
//! /slow?ms=3000                    /health takes this long from now on
//! /exit?code=3                     ends with this code, after it has answered
//! /sigterm?ignore=1                SIGTERM is ignored from now on (0: no longer); IGNORE_TERM=1 from the start
//! /sigterm?ms=2000                 SIGTERM ends it this much later
//! /seen                            what was asked: {"health": COUNT, "path": ..., "headers": {NAME: VALUE}} of /health
//! anything else                    200, `service PATH`
//! ```
//!
//! Any path may begin with /health: a query or more segments make it no other. It logs `service starting at MS`, `SIGTERM
//! received at MS` for each one, and `service ends with CODE at MS`: milliseconds since the epoch. SIGTERM ends it with 0.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const KEPT: &str = "/tmp/status";

struct State {
    status: u16,
    slow: Duration,
    deaf: bool,
    dying: Duration,
    asks: u64,
    path: String,
    headers: BTreeMap<String, String>,
}

type Shared = Arc<Mutex<State>>;

fn main() -> io::Result<()> {
    let kept = fs::read_to_string(KEPT)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let state = Arc::new(Mutex::new(State {
        status: kept.unwrap_or_else(|| variable("STATUS", 200)),
        slow: Duration::from_millis(variable("SLOW_MS", 0)),
        deaf: variable("IGNORE_TERM", 0) == 1,
        dying: Duration::ZERO,
        asks: 0,
        path: String::new(),
        headers: BTreeMap::new(),
    }));
    let listener = TcpListener::bind(("0.0.0.0", variable("PORT", 8080)))?;
    println!("service starting at {}", now());
    let (signals, hears) = (File::open("/tmp/signals")?, Arc::clone(&state));
    thread::spawn(move || hear(signals, &hears));
    for stream in listener.incoming().flatten() {
        let state = Arc::clone(&state);
        // Whoever asks and goes away is no concern of ours.
        thread::spawn(move || drop(serve(&stream, &state)));
    }
    Ok(())
}

fn variable<T: FromStr>(name: &str, default: T) -> T {
    let value = std::env::var(name).ok();
    value.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis())
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(code: i32) -> ! {
    println!("service ends with {code} at {}", now());
    std::process::exit(code)
}

/// One line a signal, from the script.
fn hear(signals: File, state: &Shared) {
    for _ in BufReader::new(signals).lines().map_while(Result::ok) {
        println!("SIGTERM received at {}", now());
        let (deaf, dying) = {
            let state = lock(state);
            (state.deaf, state.dying)
        };
        if !deaf {
            thread::spawn(move || {
                rest(dying);
                end(0)
            });
        }
    }
}

fn rest(time: Duration) {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

fn serve(stream: &TcpStream, state: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let path = first.split_whitespace().nth(1).unwrap_or("/").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    if path.starts_with("/health") {
        return health(stream, state, path, headers);
    }
    let (place, query) = path.split_once('?').unwrap_or((&path, ""));
    match (place, number(query, "code")) {
        ("/exit", Some(code)) => {
            reply(stream, 200, "ending")?;
            end(code)
        }
        ("/seen", _) => reply(stream, 200, &seen(&lock(state))),
        ("/set" | "/slow" | "/sigterm", _) => {
            change(place, query, &mut lock(state))?;
            reply(stream, 200, "so be it")
        }
        _ => reply(stream, 200, &format!("service {path}")),
    }
}

fn health(
    stream: &TcpStream,
    state: &Shared,
    path: String,
    headers: BTreeMap<String, String>,
) -> io::Result<()> {
    let slow = {
        let mut state = lock(state);
        state.asks += 1;
        (state.path, state.headers) = (path, headers);
        state.slow
    };
    rest(slow);
    let status = lock(state).status;
    reply(stream, status, if status < 400 { "healthy" } else { "unhealthy" })
}

fn number<T: FromStr>(query: &str, name: &str) -> Option<T> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name)?.1.parse().ok()
}

fn change(place: &str, query: &str, state: &mut State) -> io::Result<()> {
    if let (true, Some(status)) = (place == "/set", number(query, "status")) {
        state.status = status;
        if number::<u8>(query, "keep") == Some(1) {
            fs::write(KEPT, status.to_string())?;
        } else if let Err(error) = fs::remove_file(KEPT)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
    }
    let time = number(query, "ms").map(Duration::from_millis);
    match (place, time) {
        ("/slow", Some(time)) => state.slow = time,
        ("/sigterm", Some(time)) => state.dying = time,
        _ => {}
    }
    if let (true, Some(ignore)) = (place == "/sigterm", number::<u8>(query, "ignore")) {
        state.deaf = ignore == 1;
    }
    Ok(())
}

fn seen(state: &State) -> String {
    let headers: Vec<String> = state
        .headers
        .iter()
        .map(|(name, value)| format!("{name:?}:{value:?}"))
        .collect();
    format!(
        "{{\"health\":{},\"path\":{:?},\"headers\":{{{}}}}}",
        state.asks,
        state.path,
        headers.join(",")
    )
}

fn reply(mut stream: &TcpStream, status: u16, body: &str) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} Service\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
