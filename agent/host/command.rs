//! Programs of the machine, run to their end: mkfs, mdadm, systemctl.
//!
//! Every run has a deadline, no input, and speaks English (`LC_ALL=C`), because exit codes and words are read. A
//! program that is not waited for any longer is killed. Its exit code is the caller's to read: many programs say
//! more with it than yes or no.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::{Class, Classified};

/// Lines of a program that failed: the last ones name the cause.
const LINES_KEPT: usize = 3;
/// Characters of them: an error is one line in a journal.
const CHARACTERS_KEPT: usize = 400;

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `mkfs.ext4 /dev/xvdf`, for an error's text.
    pub line: String,
    /// As it meant it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ended {
    /// Its last words on one line; what went to stdout where it complained about nothing (e2fsck).
    pub fn last_words(&self) -> String {
        [&self.stderr, &self.stdout]
            .into_iter()
            .map(|text| last_words(text))
            .find(|words| !words.is_empty())
            .unwrap_or_else(|| "it said nothing".to_owned())
    }

    /// All that it complained about, on one line.
    pub fn all_words(&self) -> String {
        let lines = self.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("; ")
    }

    /// The error it is, for a caller who has no other reading of its code.
    pub fn failure(&self) -> CommandError {
        CommandError::Failed {
            line: self.line.clone(),
            code: self.code,
            words: self.last_words(),
        }
    }
}

/// A program did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not installed.
    #[error("there is no program {program} on this machine: install the package that has it")]
    Missing {
        /// As it was looked for.
        program: String,
    },
    /// The kernel did not start it, or its output could not be read.
    #[error("cannot run {line}")]
    Start {
        /// Program and arguments.
        line: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It hangs, most often in a disk that does not answer.
    #[error("{line} was not done after {} s and was stopped", after.as_secs())]
    Late {
        /// Program and arguments.
        line: String,
        /// The deadline.
        after: Duration,
    },
    /// Somebody killed it; the kernel, when memory ran out.
    #[error("{line} was killed by signal {signal}")]
    Killed {
        /// Program and arguments.
        line: String,
        /// By its number.
        signal: i32,
    },
    /// It ran and said no.
    #[error("{line} failed with exit code {code}: {words}")]
    Failed {
        /// Program and arguments.
        line: String,
        /// Its own.
        code: i32,
        /// Its last lines.
        words: String,
    },
}

impl Classified for CommandError {
    fn class(&self) -> Class {
        match self {
            Self::Missing { .. } => Class::Permanent,
            Self::Start { .. } | Self::Late { .. } | Self::Killed { .. } | Self::Failed { .. } => {
                Class::Transient
            }
        }
    }
}

/// A program and how long it may take.
#[derive(Clone, Debug)]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    input: Vec<u8>,
    deadline: Duration,
}

impl Command {
    /// A program by its name on PATH, or by its path.
    pub fn new(program: impl AsRef<OsStr>, deadline: Duration) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            input: Vec::new(),
            deadline,
        }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        let more = arguments.into_iter().map(|one| one.as_ref().to_owned());
        self.arguments.extend(more);
        self
    }

    /// What it reads: nothing, unless this is said. It has to be less than a pipe holds (64 KiB), or the program has to read on.
    pub fn input(mut self, text: &str) -> Self {
        self.input = text.as_bytes().to_owned();
        self
    }

    /// What an error calls it. No argument of ours is a secret: those never go into a command line.
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    /// Runs it to its end, whatever its exit code.
    pub async fn run(self) -> Result<Ended, CommandError> {
        let running = async {
            let mut child = tokio::process::Command::new(&self.program)
                .args(&self.arguments)
                .env("LC_ALL", "C")
                .stdin(if self.input.is_empty() {
                    Stdio::null()
                } else {
                    Stdio::piped()
                })
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                match stdin.write_all(&self.input).await {
                    // It had read enough.
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                    _ => {}
                }
            }
            child.wait_with_output().await
        };
        let late = |_| CommandError::Late {
            line: self.line(),
            after: self.deadline,
        };
        let finished = tokio::time::timeout(self.deadline, running);
        match finished.await.map_err(late)? {
            Ok(output) => self.ended(&output),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CommandError::Missing {
                program: self.program.to_string_lossy().into_owned(),
            }),
            Err(source) => Err(CommandError::Start {
                line: self.line(),
                source,
            }),
        }
    }

    /// Runs it to its end; any exit code but 0 is an error.
    pub async fn succeed(self) -> Result<Ended, CommandError> {
        let ended = self.run().await?;
        if ended.code == 0 {
            Ok(ended)
        } else {
            Err(ended.failure())
        }
    }

    fn ended(&self, output: &Output) -> Result<Ended, CommandError> {
        let Some(code) = output.status.code() else {
            return Err(CommandError::Killed {
                line: self.line(),
                signal: output.status.signal().unwrap_or_default(),
            });
        };
        Ok(Ended {
            line: self.line(),
            code,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

fn last_words(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut last: Vec<_> = lines.rev().take(LINES_KEPT).collect();
    last.reverse();
    let joined = last.join("; ");
    let clean = joined.chars().map(|one| if one.is_control() { ' ' } else { one });
    clean.take(CHARACTERS_KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        Command::new("sh", SOON).args(["-c", script])
    }

    #[tokio::test]
    async fn a_program_speaks_english_and_gets_no_input() {
        let ended = shell("echo $LC_ALL; cat").succeed().await.unwrap();
        assert_eq!(ended.stdout, "C\n");
    }

    #[tokio::test]
    async fn an_exit_code_is_the_callers_to_read_or_an_error_with_the_last_lines() {
        let command = shell("for i in 1 2 3 4 5; do echo line $i >&2; done; exit 7");
        let ended = command.clone().run().await.unwrap();
        assert_eq!(ended.code, 7);
        let error = command.succeed().await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("failed with exit code 7: line 3; line 4; line 5"),
            "{error}"
        );
        assert_eq!(error.class(), Class::Transient);
    }

    #[tokio::test]
    async fn what_is_no_complaint_counts_where_nothing_else_was_said() {
        let ended = shell("echo broken; exit 4").run().await.unwrap();
        assert_eq!(ended.last_words(), "broken");
        let ended = shell("exit 4").run().await.unwrap();
        assert_eq!(ended.last_words(), "it said nothing");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = Command::new("mkfs.nonsense", SOON).run().await.unwrap_err();
        assert!(matches!(&error, CommandError::Missing { program } if program == "mkfs.nonsense"));
        assert_eq!(error.class(), Class::Permanent);
    }

    #[tokio::test]
    async fn a_killed_one_is_told_from_a_failed_one() {
        let error = shell("kill -9 $$").run().await.unwrap_err();
        assert!(matches!(error, CommandError::Killed { signal: 9, .. }));
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_at_its_deadline() {
        let directory = std::env::temp_dir().join(format!("monopod-late-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let fifo = directory.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Its end of the pipe closes when it dies, and only then.
        let open = tokio::task::spawn_blocking({
            let fifo = fifo.clone();
            move || std::fs::read(fifo)
        });
        let hangs = format!("exec sleep 600 >{}", fifo.display());
        let command = Command::new("sh", Duration::from_millis(300)).args(["-c", &hangs]);
        let error = command.run().await.unwrap_err();
        assert!(matches!(error, CommandError::Late { .. }), "{error}");
        let read = tokio::time::timeout(SOON, open).await.unwrap().unwrap().unwrap();
        assert!(read.is_empty());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
