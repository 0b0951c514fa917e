//! Says when somebody changed our table: `nft monitor`, which the kernel tells of every transaction.

use std::process::Stdio;
use std::time::Duration;

use monopod_core::firewall::TABLE;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

/// Before it is started again after it has ended.
const AGAIN: Duration = Duration::from_secs(5);
/// It listens by then, and does not say when it begins to.
const SETTLED: Duration = Duration::from_secs(1);

/// The monitor, once somebody waits for it.
#[derive(Default)]
pub(super) struct Watch {
    running: Option<Running>,
    not_before: Option<Instant>,
    /// A transaction that is still being told is about our table.
    touched: bool,
}

struct Running {
    lines: Lines<BufReader<ChildStdout>>,
    /// When it listens for sure, until that has been said.
    settles: Option<Instant>,
    /// It goes with us.
    _child: Child,
}

impl Watch {
    /// Returns when a transaction changed our table, and soon after the monitor began to listen: what happened before it did
    /// nobody told. Nothing is lost where somebody stops waiting.
    pub(super) async fn changed(&mut self) {
        loop {
            let running = match &mut self.running {
                Some(running) => running,
                none => {
                    if let Some(moment) = self.not_before {
                        tokio::time::sleep_until(moment).await;
                    }
                    self.not_before = Some(Instant::now() + AGAIN);
                    match start() {
                        Ok(running) => none.insert(running),
                        Err(error) => {
                            let again = AGAIN.as_secs();
                            tracing::error!(
                                "changes of the rules are not seen, trying again in {again} s: {error}"
                            );
                            continue;
                        }
                    }
                }
            };
            let line = match running.settles {
                None => running.lines.next_line().await,
                Some(moment) => match timeout_at(moment, running.lines.next_line()).await {
                    Ok(line) => line,
                    Err(_) => {
                        running.settles = None;
                        return;
                    }
                },
            };
            match line {
                Ok(Some(line)) if line.starts_with("# new generation") => {
                    if std::mem::take(&mut self.touched) {
                        return;
                    }
                }
                Ok(Some(line)) => self.touched |= is_ours(&line),
                Ok(None) | Err(_) => {
                    tracing::warn!("nft monitor has ended; it is started again");
                    self.running = None;
                }
            }
        }
    }
}

fn start() -> std::io::Result<Running> {
    let mut child = Command::new("nft")
        .arg("monitor")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
    Ok(Running {
        lines: BufReader::new(stdout).lines(),
        settles: Some(Instant::now() + SETTLED),
        _child: child,
    })
}

/// `delete rule inet monopod incoming handle 21`.
fn is_ours(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| *word != "inet");
    words.next().is_some() && words.next() == Some(TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_table_is_ours() {
        assert!(is_ours("delete table inet monopod"));
        assert!(is_ours("add rule inet monopod incoming tcp dport 22 accept"));
        assert!(!is_ours(
            "add rule ip filter FORWARD counter packets 0 bytes 0 accept"
        ));
        assert!(!is_ours("delete table inet other"));
        assert!(!is_ours("delete table ip monopod"));
    }
}
