//! A command inside the container, as the health gate runs it.
//!
//! The engine can start a command and can't end one. So a command that does not end in its time is left as it is, and
//! the same command is not started again beside it: not by this agent, and not by one that was started meanwhile, since
//! the engine itself is asked what runs.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecInspectResponse;
use futures_util::StreamExt as _;
use monopod_core::text;
use tokio::time::Instant;

use super::{ASK, ContainerStatus, Engine, EngineError, What};

/// How much of its last output is kept: much more than a decrypted value can have, and whole lines only, since a part
/// of a secret is not found when the output is redacted.
const KEPT: usize = 64 << 10;

/// The engine hears of a command's end a moment after its output has ended.
const MOMENT: Duration = Duration::from_millis(50);

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// By itself.
    Ended {
        /// Its exit code.
        code: i64,
        /// The end of what it wrote; not redacted.
        output: String,
    },
    /// Not in its time; it goes on.
    TooSlow,
    /// It was not started, because one that was too slow still runs.
    StillRuns,
}

impl Engine {
    /// Runs a command in the container and waits for its end, but no longer than `patience`.
    pub async fn run(
        &self,
        id: &str,
        status: &ContainerStatus,
        command: &[String],
        patience: Duration,
    ) -> Result<Ran, EngineError> {
        let deadline = Instant::now() + patience;
        if self.runs_already(id, status, command).await? {
            return Ok(Ran::StillRuns);
        }
        self.runs(command);
        let what = || What::Run { id: id.to_owned() };
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..Default::default()
        };
        let exec = self
            .within(ASK, what(), |docker| docker.create_exec(id, options))
            .await?
            .id;
        let started = self
            .within(ASK, what(), |docker| {
                docker.start_exec(&exec, None::<StartExecOptions>)
            })
            .await?;
        let mut kept = Tail::default();
        if let StartExecResults::Attached { mut output, .. } = started {
            let reading = async {
                while let Some(Ok(chunk)) = output.next().await {
                    kept.push(&chunk.into_bytes());
                }
            };
            // What it started may hold its output open after its end, so the engine is asked in any case.
            if tokio::time::timeout_at(deadline, reading).await.is_err() {
                tracing::debug!("a command in {} is still writing", text::short_id(id));
            }
        }
        loop {
            let state = self.ask_exec(id, &exec).await?;
            if let (Some(false), Some(code)) = (state.running, state.exit_code) {
                let output = kept.text();
                return Ok(Ran::Ended { code, output });
            }
            if Instant::now() >= deadline {
                return Ok(Ran::TooSlow);
            }
            tokio::time::sleep(MOMENT).await;
        }
    }

    async fn runs_already(
        &self,
        id: &str,
        status: &ContainerStatus,
        command: &[String],
    ) -> Result<bool, EngineError> {
        for exec in &status.exec_ids {
            match self.ask_exec(id, exec).await {
                Ok(state) if state.running == Some(true) && is_of(&state, command) => return Ok(true),
                // It has ended since the container was looked at.
                Ok(_) | Err(EngineError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    async fn ask_exec(&self, id: &str, exec: &str) -> Result<ExecInspectResponse, EngineError> {
        self.within(ASK, What::Run { id: id.to_owned() }, |docker| {
            docker.inspect_exec(exec)
        })
        .await
    }
}

fn is_of(state: &ExecInspectResponse, command: &[String]) -> bool {
    let Some(process) = &state.process_config else {
        return false;
    };
    let arguments = process.arguments.iter().flatten();
    process.entrypoint.iter().chain(arguments).eq(command)
}

/// The end of an output in whole lines; a command that never stops writing must not take our memory. Bytes until it is
/// whole: a frame may end within a character, and a secret with half a character in it would not be found.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    /// In a line that is too long to be kept.
    skips: bool,
}

impl Tail {
    fn push(&mut self, more: &[u8]) {
        let mut more = more;
        if self.skips {
            let mut parts = more.splitn(2, |byte| *byte == b'\n').skip(1);
            let Some(rest) = parts.next() else { return };
            more = rest;
        }
        self.skips = false;
        self.bytes.extend_from_slice(more);
        let Some(surplus) = self.bytes.len().checked_sub(KEPT).filter(|surplus| *surplus > 0) else {
            return;
        };
        let line_end = self
            .bytes
            .iter()
            .enumerate()
            .skip(surplus - 1)
            .find(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at);
        match line_end {
            Some(at) => drop(self.bytes.drain(..=at)),
            None => {
                self.bytes.clear();
                self.skips = true;
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProcessConfig;

    use super::*;

    #[test]
    fn the_end_of_the_output_is_kept_in_whole_lines() {
        let mut tail = Tail::default();
        for number in 0..KEPT {
            tail.push(format!("line {number} ä\n").as_bytes());
        }
        tail.push(b"the end");
        let text = tail.text();
        assert!(text.len() <= KEPT, "{}", text.len());
        assert!(text.starts_with("line ") && text.ends_with("ä\nthe end"));
    }

    #[test]
    fn a_character_that_two_frames_share_stays_whole() {
        let mut tail = Tail::default();
        for byte in "the password is schlüssel\n".as_bytes() {
            tail.push(&[*byte]);
        }
        assert_eq!(tail.text(), "the password is schlüssel\n");
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_as_a_whole() {
        let mut tail = Tail::default();
        tail.push(b"before\n");
        for _ in 0..3 {
            tail.push("x".repeat(KEPT / 2 + 1).as_bytes());
        }
        assert_eq!(tail.text(), "");
        tail.push(b"xx\nafter");
        assert_eq!(tail.text(), "after");
    }

    #[test]
    fn a_command_is_known_by_all_of_its_words() {
        let words = |all: &[&str]| all.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let state = ExecInspectResponse {
            process_config: Some(ProcessConfig {
                entrypoint: Some("/check".to_owned()),
                arguments: Some(words(&["-v", "x"])),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert!(is_of(&state, &words(&["/check", "-v", "x"])));
        assert!(!is_of(&state, &words(&["/check", "-v"])));
        assert!(!is_of(&state, &words(&["sh"])));
        assert!(!is_of(&ExecInspectResponse::default(), &[]));
    }
}
