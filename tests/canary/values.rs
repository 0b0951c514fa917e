//! The canaries: random, others in every run, of the same kinds. An engine's data outlives a run, and what was a
//! variable in it may be a file in the next.

/// Values of 8 to 4,096 bytes; each of ten kinds, most of them short: the texts they go into are limited.
pub(crate) fn make(seed: u64, count: usize) -> Vec<String> {
    let mut random = Random(seed | 1);
    (0..count).map(|number| one(number, &mut random)).collect()
}

/// Values that fit anywhere: into a header, a user's name.
pub(crate) fn make_plain(seed: u64, count: usize) -> Vec<String> {
    let mut random = Random(!seed | 1);
    let characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.%+/=";
    (0..count)
        .map(|_| {
            let size = 12 + random.below(60);
            random.of(characters, size)
        })
        .collect()
}

fn one(number: usize, random: &mut Random) -> String {
    let size = match number % 100 {
        0 => 4096,
        50 => 2000 + random.below(1500),
        n if n % 10 == 5 => 300 + random.below(900),
        _ => 8 + random.below(120),
    };
    let value = match number % 10 {
        0 => random.of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", size),
        1 => random.of(r#"abcdefgh0123456789"'\%$`"#, size),
        2 => random.of("abcdefghéß€ÿ漢😀0123456789", size),
        3 => random.of("abcdefgh0123456789 !$&*()[]{};<>?|#~^=", size),
        4 => format!("--{}", random.of("abcdefghijkl-0123456789", size)),
        5 => random.lines(size, 30),
        6 => random.json(),
        7 => random.pem(size.max(200)),
        8 => random.of(
            "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~",
            size,
        ),
        _ => format!("postgres://app:{}@db.internal:5432/app?x={}", random.of("abcXYZ089%/+=&", size), number),
    };
    // The environment has no value beyond what KMS encrypts, and characters are of several bytes.
    let most = value.floor_char_boundary(4096);
    value.get(..most).unwrap().to_owned()
}

/// xorshift: nothing here needs more.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    /// Of these characters, so many bytes or a few more; letters at both ends, for space there is nobody's.
    fn of(&mut self, characters: &str, bytes: usize) -> String {
        let characters: Vec<char> = characters.chars().collect();
        let mut out = self.word();
        while out.len() + 4 < bytes {
            out.push(characters[self.below(characters.len())]);
        }
        out + &self.word()
    }

    fn word(&mut self) -> String {
        (0..4).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }

    fn lines(&mut self, bytes: usize, width: usize) -> String {
        let mut out = String::new();
        while out.len() + width < bytes.max(2 * width) {
            let line = width.min(8 + self.below(width));
            out.push_str(&self.of("abcdefghijkl0123456789 \"'\\:,", line));
            out.push('\n');
        }
        out
    }

    fn json(&mut self) -> String {
        let (password, key) = (self.of("abc\"\\/é0189", 24), self.of("ABCDEF0123456789+/", 40));
        let document = serde_json::json!({ self.word(): password, self.word(): { self.word(): key }, self.word(): [self.below(1_000_000)] });
        serde_json::to_string_pretty(&document).unwrap()
    }

    fn pem(&mut self, bytes: usize) -> String {
        let name = self.word().to_uppercase();
        let mut out = format!("-----BEGIN {name} PRIVATE KEY-----\n");
        while out.len() + 120 < bytes {
            out.push_str(&self.of(
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                64,
            ));
            out.push('\n');
        }
        out + &format!("-----END {name} PRIVATE KEY-----\n")
    }
}
