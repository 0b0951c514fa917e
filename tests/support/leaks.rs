//! Looking for a secret in every place it must not be.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use crate::machine::Machine;

impl Machine {
    /// Where a secret (a canary value) can be read that should be nowhere: what agents printed, syslog, systemd's
    /// messages, files of the lease (state, runtime, logs), the engine's log, and the command lines of processes in the
    /// machine's network, as `ps` shows them. As it is, and in base64. Each place with the line it is on; empty is good.
    ///
    /// Not looked at: the engine's own files and the container's environment, where environment values are by design.
    #[must_use]
    pub fn leaks(&self, secret: &str) -> Vec<String> {
        let forms = forms(secret);
        let mut found = Vec::new();
        for (place, text) in self.traces() {
            let hit = |line: &&str| forms.iter().any(|form| line.contains(form.as_str()));
            found.extend(text.lines().filter(hit).map(|line| format!("{place}: {line}")));
        }
        found
    }

    /// Every text that [`Self::leaks`] looks at, with its place: for who looks for more than one secret.
    #[must_use]
    pub fn traces(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut look = |place: &str, text: &str| all.push((place.to_owned(), text.to_owned()));
        for (number, output) in self.outputs().iter().enumerate() {
            look(&format!("agent {number}"), output);
        }
        look("syslog", &self.syslog().lines().join("\n"));
        look("systemd", &self.notify().lines().join("\n"));
        look(
            "engine log",
            &fs::read_to_string(self.engine_log_path()).unwrap_or_default(),
        );
        each_file(&self.dirs().base, &mut look);
        for process in self.processes() {
            if let Ok(line) = fs::read(process.join("cmdline")) {
                look(
                    &process.display().to_string(),
                    &String::from_utf8_lossy(&line).replace('\0', " "),
                );
            }
        }
        all
    }

    /// What runs in the machine's own network: agents, the engine, and what they have started. Other tests run beside
    /// us, and may have the same secret.
    fn processes(&self) -> Vec<PathBuf> {
        let namespace = |process: &Path| fs::read_link(process.join("ns/net")).ok();
        let ours = namespace(&PathBuf::from(format!("/proc/{}", self.init())));
        let all = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        all.filter(|process| ours.is_some() && namespace(process) == ours)
            .collect()
    }
}

/// A secret as it is, and as base64 in each of the three places it can have in a longer text.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for shift in 0..3_usize {
        let shifted = BASE64.encode([&b"xxx"[..shift], secret.as_bytes()].concat());
        // The letters at both ends are shared with neighbours.
        let (skip, drop) = (
            [0, 2, 3][shift],
            usize::from(!(secret.len() + shift).is_multiple_of(3)),
        );
        if shifted.len() > skip + drop + 8 {
            forms.push(shifted[skip..shifted.len() - drop].to_owned());
        }
    }
    forms
}

fn each_file(dir: &Path, look: &mut impl FnMut(&str, &str)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => each_file(&path, look),
            Ok(kind) if kind.is_file() => {
                let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                look(&path.display().to_string(), &text.unwrap_or_default());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_found_wherever_it_begins() {
        let secret = "canary-of-some-length";
        for length in 0..7 {
            let text = format!("{}{secret}and more", "p".repeat(length));
            let encoded = BASE64.encode(text);
            assert!(
                forms(secret).iter().any(|form| encoded.contains(form)),
                "{length} letters before it"
            );
        }
    }
}
