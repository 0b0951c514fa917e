//! Finds any of many texts in one pass: by the first bytes of each.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Canary;

/// Shorter texts are not searched for: the redactor doesn't promise them.
const LEAST: usize = 8;

/// How many bits a beginning is looked up in before the map is asked: nearly every place of a text ends there.
const BITS: u32 = 22;

pub(crate) struct Net {
    by_beginning: HashMap<[u8; LEAST], Vec<(String, Canary)>>,
    sieve: Vec<bool>,
}

/// A canary in a text.
pub(crate) struct Hit {
    pub(crate) canary: Canary,
    /// What stands there.
    pub(crate) around: String,
}

impl Net {
    pub(crate) fn new(canaries: &[Canary]) -> Self {
        let mut by_beginning: HashMap<[u8; LEAST], Vec<(String, Canary)>> = HashMap::new();
        let mut sieve = vec![false; 1 << BITS];
        for canary in canaries {
            for text in spellings(&canary.value) {
                let beginning: [u8; LEAST] = text.as_bytes()[..LEAST].try_into().unwrap();
                sieve[hole(&beginning)] = true;
                by_beginning
                    .entry(beginning)
                    .or_default()
                    .push((text, canary.clone()));
            }
        }
        Self { by_beginning, sieve }
    }

    /// How many spellings there are.
    pub(crate) fn len(&self) -> usize {
        self.by_beginning.values().map(Vec::len).sum()
    }

    /// The canaries in these bytes.
    pub(crate) fn search(&self, bytes: &[u8]) -> Vec<Hit> {
        let mut found = Vec::new();
        for (at, beginning) in bytes.windows(LEAST).enumerate() {
            if !self.sieve[hole(beginning)] {
                continue;
            }
            let Some(known) = self.by_beginning.get(beginning) else {
                continue;
            };
            for (text, canary) in known {
                if bytes[at..].starts_with(text.as_bytes()) {
                    let around = &bytes[at.saturating_sub(60)..bytes.len().min(at + 40)];
                    found.push(Hit {
                        canary: canary.clone(),
                        around: String::from_utf8_lossy(around).into_owned(),
                    });
                }
            }
        }
        found
    }
}

fn hole(beginning: &[u8]) -> usize {
    let four = u32::from_le_bytes([beginning[0], beginning[1], beginning[2], beginning[3]]);
    (four.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
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
