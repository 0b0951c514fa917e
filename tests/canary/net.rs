//! Finds any of many texts in one pass: by the first bytes of each.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Canary;

/// Shorter texts are not searched for: the redactor doesn't promise them.
const LEAST: usize = 8;

pub(crate) struct Net {
    by_beginning: HashMap<[u8; LEAST], Vec<(String, String)>>,
}

impl Net {
    pub(crate) fn new(canaries: &[Canary]) -> Self {
        let mut by_beginning: HashMap<[u8; LEAST], Vec<(String, String)>> = HashMap::new();
        for Canary { name, value } in canaries {
            for text in spellings(value) {
                let beginning = text.as_bytes()[..LEAST].try_into().unwrap();
                by_beginning
                    .entry(beginning)
                    .or_default()
                    .push((text, name.clone()));
            }
        }
        Self { by_beginning }
    }

    /// How many spellings there are.
    pub(crate) fn len(&self) -> usize {
        self.by_beginning.values().map(Vec::len).sum()
    }

    /// The names of the canaries in this text, with what stands there.
    pub(crate) fn search(&self, text: &str) -> Vec<String> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        for (at, beginning) in bytes.windows(LEAST).enumerate() {
            let Some(known) = self.by_beginning.get(beginning) else {
                continue;
            };
            for (text, name) in known {
                if bytes[at..].starts_with(text.as_bytes()) {
                    let around =
                        String::from_utf8_lossy(&bytes[at.saturating_sub(60)..bytes.len().min(at + 40)]);
                    found.push(format!("{name} ({around:?})"));
                }
            }
        }
        found
    }
}

/// The value and each of its lines: as it is, as JSON, in a URL, in a shell's quotes, and in base64 wherever it begins.
pub(crate) fn spellings(value: &str) -> Vec<String> {
    let mut all = Vec::new();
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= LEAST);
    for text in lines.chain([value.trim()]) {
        let json = serde_json::to_string(text).unwrap();
        all.push(text.to_owned());
        all.push(json.get(1..json.len() - 1).unwrap().to_owned());
        all.push(text.replace('\'', r"'\''"));
        all.push(percent(text));
        for shift in 0..3_usize {
            let encoded = STANDARD_NO_PAD.encode([&b"xxx"[..shift], text.as_bytes()].concat());
            // The letters at both ends are shared with neighbours.
            let (skip, shared) = (
                [0, 2, 3][shift],
                usize::from(!(text.len() + shift).is_multiple_of(3)),
            );
            all.push(encoded.get(skip..encoded.len() - shared).unwrap().to_owned());
        }
    }
    all.sort();
    all.dedup();
    all.retain(|text| text.len() >= LEAST);
    all
}

fn percent(text: &str) -> String {
    let one = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
