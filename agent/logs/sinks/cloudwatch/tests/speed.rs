//! How fast it is: a measurement, not a test.

#![expect(clippy::print_stdout, reason = "the figure is what it is run for")]

use nix::sys::resource::{UsageWho, getrusage};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::*;

/// Takes everything and keeps nothing: what is left is the sink's own speed.
async fn null() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::with_capacity(64 * 1024, stream);
            let mut length = 0;
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                let header = line.trim().to_ascii_lowercase();
                if let Some(value) = header.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                } else if header.is_empty() {
                    tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink())
                        .await
                        .unwrap();
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                        .await
                        .unwrap();
                }
                line.clear();
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release --lib cloudwatch::tests::speed -- --ignored --nocapture"]
async fn lines_per_second() {
    let (mut far, shipper) = Far::begun().await;
    shipper.stop(soon()).await;
    let seconds = || {
        let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
        let [user, system] = [usage.user_time(), usage.system_time()];
        (user.tv_sec() + system.tv_sec()) as f64 + (user.tv_usec() + system.tv_usec()) as f64 / 1e6
    };
    for (what, null) in [("the stand-in", None), ("a null server", Some(null().await))] {
        far.endpoint = null.unwrap_or(far.endpoint);
        far.lines(50_000, 195);
        let (began, before) = (Instant::now(), seconds());
        let shipper = far.start().await;
        assert_eq!(complete(&shipper).await.delivered, 50_000);
        let (took, spent) = (began.elapsed().as_secs_f64(), seconds() - before);
        let (rate, each) = (50_000.0 / took, spent * 1e6 / 50_000.0);
        println!(
            "50,000 lines of 200 bytes to {what}: {rate:.0} lines/s, {each:.1} us of this process a line"
        );
        shipper.stop(soon()).await;
    }
}
