// How a line proves what it is, shared by the writer, which stands alone, and the rig, which checks:
//
//   w1:SEED:SEQUENCE:LENGTH:CHECKSUM PAYLOAD
//
// The payload is LENGTH letters and digits made of seed and sequence. It has no blank at its end that somebody might
// trim, nothing that needs an escape in JSON, and nothing that looks like a token to be redacted.

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
const MARK: &str = "w1:";

/// How long a frame is without its payload.
pub(crate) fn overhead(seed: u64) -> usize {
    let digits = seed.checked_ilog10().unwrap_or(0) as usize + 1;
    MARK.len() + digits + 1 + 12 + 1 + 7 + 1 + 16 + 1
}

/// Appends a frame.
pub(crate) fn write(out: &mut Vec<u8>, seed: u64, sequence: u64, length: usize) {
    use std::io::Write as _;
    let payload = payload(seed, sequence, length);
    let sum = checksum(seed, sequence, &payload);
    // Writing to memory does not fail.
    let _ = write!(out, "{MARK}{seed}:{sequence:012}:{length:07}:{sum:016x} ");
    out.extend_from_slice(&payload);
}

/// A frame found in a text.
pub(crate) struct Frame {
    pub(crate) seed: u64,
    pub(crate) sequence: u64,
    /// As it was written: nothing cut off, nothing changed.
    pub(crate) intact: bool,
}

/// The next frame, and the text after it. Something that only begins like one is not intact.
pub(crate) fn next(text: &str) -> Option<(Frame, &str)> {
    let rest = &text[text.find(MARK)? + MARK.len()..];
    let mut fields = rest.splitn(4, ':');
    let number = |field: Option<&str>| field.and_then(|digits| digits.parse::<u64>().ok());
    let seed = number(fields.next());
    let sequence = number(fields.next());
    let length = number(fields.next()).and_then(|length| usize::try_from(length).ok());
    let tail = fields.next().unwrap_or_default();
    let whole = (|| {
        let (sum, after) = tail.split_once(' ')?;
        let payload = after.as_bytes().get(..length?)?;
        let sum = u64::from_str_radix(sum, 16).ok()?;
        (sum == checksum(seed?, sequence?, payload)).then(|| &after[payload.len()..])
    })();
    let frame = Frame {
        seed: seed.unwrap_or(0),
        sequence: sequence.unwrap_or(u64::MAX),
        intact: whole.is_some(),
    };
    Some((frame, whole.unwrap_or(rest)))
}

fn payload(seed: u64, sequence: u64, length: usize) -> Vec<u8> {
    let mut state = (seed.wrapping_add(1))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(sequence.wrapping_mul(0xd134_2543_de82_ef95))
        | 1;
    let mut out = Vec::with_capacity(length + 12);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut bits = state;
        for _ in 0..12 {
            out.push(ALPHABET[(bits & 31) as usize]);
            bits >>= 5;
        }
    }
    out.truncate(length);
    out
}

/// FNV-1a, eight bytes at a time but for the last few.
fn checksum(seed: u64, sequence: u64, payload: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |word: u64| sum = (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    mix(seed);
    mix(sequence);
    mix(payload.len() as u64);
    let mut words = payload.chunks_exact(8);
    for word in &mut words {
        mix(word.try_into().map(u64::from_le_bytes).unwrap_or(0));
    }
    for byte in words.remainder() {
        mix(u64::from(*byte));
    }
    sum
}
