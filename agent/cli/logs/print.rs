//! A line of the log on standard output: safe for a terminal, byte for byte for anything else.

use std::io::{self, IsTerminal as _, Write as _};

use monopod_core::logs::{Line, Stream};
use monopod_core::text;

/// Written at once: few system calls, and nobody waits long for the first line.
const FULL: usize = 64 * 1024;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Its text.
    Bare,
    /// Its time, a space, its text.
    Timed,
    /// An object.
    Json,
}

/// Gathers lines and writes them.
#[derive(Debug)]
pub(super) struct Printer {
    form: Form,
    is_terminal: bool,
    buffer: String,
}

impl Printer {
    pub(super) fn new(json: bool, timestamps: bool) -> Self {
        let form = match (json, timestamps) {
            (true, _) => Form::Json,
            (false, true) => Form::Timed,
            (false, false) => Form::Bare,
        };
        Self {
            form,
            is_terminal: io::stdout().is_terminal(),
            buffer: String::new(),
        }
    }

    pub(super) fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        render(self.form, self.is_terminal, line, &mut self.buffer);
        if self.buffer.len() < FULL {
            Ok(())
        } else {
            self.flush()
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(self.buffer.as_bytes())
            .and_then(|()| stdout.flush());
        self.buffer.clear();
        written
    }
}

fn render(form: Form, is_terminal: bool, line: &Line<'_>, out: &mut String) {
    match form {
        Form::Json => {
            let stream = match line.stream {
                Stream::Stderr => "stderr",
                Stream::Stdout | Stream::Monopod => "stdout",
            };
            // Written by hand for the order of its keys, which people read too.
            let quoted = |value: &str| escaped(&serde_json::Value::from(value).to_string());
            let (time, text) = (quoted(line.time), quoted(line.text));
            out.push_str(&format!(
                "{{\"time\":{time},\"stream\":\"{stream}\",\"text\":{text}}}"
            ));
        }
        Form::Bare | Form::Timed => {
            if form == Form::Timed {
                out.push_str(&safe(is_terminal, line.time));
                out.push(' ');
            }
            out.push_str(&safe(is_terminal, line.text));
        }
    }
    out.push('\n');
}

/// A terminal would obey what a line may hold. Tabs do no harm, and stack traces are full of them.
fn safe(is_terminal: bool, value: &str) -> std::borrow::Cow<'_, str> {
    if is_terminal && value.chars().any(char::is_control) {
        let pieces: Vec<String> = value.split('\t').map(text::printable).collect();
        pieces.join("\t").into()
    } else {
        value.into()
    }
}

/// JSON leaves DEL and the C1 controls as they are; a terminal wouldn't.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(form: Form, is_terminal: bool, text: &str) -> String {
        let mut out = String::new();
        let line = Line {
            time: "2026-01-02T03:04:05.6Z",
            stream: Stream::Stderr,
            text,
        };
        render(form, is_terminal, &line, &mut out);
        out
    }

    #[test]
    fn byte_for_byte_but_for_a_terminal() {
        let text = "a\tb\x1b[31mred\r\u{9b}x";
        assert_eq!(shown(Form::Bare, false, text), format!("{text}\n"));
        assert_eq!(shown(Form::Bare, true, text), "a\tb·[31mred··x\n");
        assert_eq!(shown(Form::Timed, true, "x"), "2026-01-02T03:04:05.6Z x\n");
    }

    #[test]
    fn an_object_holds_no_control_characters_and_all_of_the_text() {
        let text = "a\tb\x1b\u{7f}\u{9b}\"ü";
        let json = shown(Form::Json, false, text);
        assert!(!json.trim_end().chars().any(char::is_control), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected =
            serde_json::json!({"time": "2026-01-02T03:04:05.6Z", "stream": "stderr", "text": text});
        assert_eq!(value, expected);
    }
}
