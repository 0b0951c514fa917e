//! A secret typed at a terminal: one line, not shown.

use std::io::{self, Read as _, Write as _};

use monopod_core::secret::Secret;
use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};

/// Why nothing came from standard input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The terminal or the pipe.
    #[error("cannot read standard input")]
    Read(#[from] io::Error),
    /// Ctrl-C.
    #[error("stopped at the prompt; nothing was encrypted")]
    Stopped,
    /// Longer than was asked for.
    #[error("more than {0} bytes came from standard input")]
    TooLong(usize),
    /// Other bytes.
    #[error(
        "what came from standard input is not a text in UTF-8; encode it first (base64) and have the application decode it"
    )]
    NotText,
}

/// Reads standard input to its end, `most` bytes at most.
pub fn piped(most: usize) -> Result<Secret, InputError> {
    // Room for all of it: what grows leaves copies behind.
    let mut bytes = Vec::with_capacity(most + 1);
    let limit = u64::try_from(most + 1).unwrap_or(u64::MAX);
    io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    text(bytes, most)
}

/// Asks for one line of `most` bytes at most, and shows nothing of it.
pub fn asked(prompt: &str, most: usize) -> Result<Secret, InputError> {
    let quiet = Quiet::begin()?;
    say(prompt)?;
    let line = line(most);
    // What was pasted behind the first line must not become a command for the shell: restoring throws it away.
    drop(quiet);
    say("\n")?;
    text(line?, most)
}

/// The keys come one by one, so that Ctrl-C leaves the terminal as it was.
fn line(most: usize) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::with_capacity(most + 1);
    for key in io::stdin().lock().bytes() {
        match key? {
            // Ctrl-C and Ctrl-\.
            0x03 | 0x1c => {
                drop(Secret::from_bytes(bytes));
                return Err(InputError::Stopped);
            }
            // Return, and Ctrl-D.
            b'\r' | b'\n' | 0x04 => break,
            // Backspace takes a whole character away.
            0x7f | 0x08 => while bytes.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Ctrl-U.
            0x15 => bytes.clear(),
            key if bytes.len() <= most => bytes.push(key),
            _ => {}
        }
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>, most: usize) -> Result<Secret, InputError> {
    let is_long = bytes.len() > most;
    let text = Secret::from_bytes(bytes);
    if is_long {
        return Err(InputError::TooLong(most));
    }
    text.ok_or(InputError::NotText)
}

fn say(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}

/// A terminal without echo, lines and signals, until it is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(&stdin)?;
        let mut quiet = before.clone();
        quiet
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        // One key at a time, as long as it takes.
        for (index, value) in [
            (SpecialCharacterIndices::VMIN, 1),
            (SpecialCharacterIndices::VTIME, 0),
        ] {
            if let Some(slot) = quiet.control_chars.get_mut(index as usize) {
                *slot = value;
            }
        }
        termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _gone_terminal = termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.0).is_err();
    }
}
