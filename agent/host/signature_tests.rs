//! Against openssl, and against what an attacker would send.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// The order of the curve's group.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
const PAYLOAD: &[u8] = b"{\"critical\": {}}";

/// Keys and signatures of openssl's.
struct Openssl(PathBuf);

impl Openssl {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("monopod-signature-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn run(&self, args: &[&str]) -> Vec<u8> {
        let output = Command::new("openssl")
            .args(args)
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    fn generate(&self, name: &str, curve: &str) {
        self.run(&["ecparam", "-name", curve, "-genkey", "-noout", "-out", name]);
    }

    fn public(&self, name: &str) -> Vec<u8> {
        self.run(&["ec", "-in", name, "-pubout"])
    }

    fn sign(&self, name: &str, hash: &str, bytes: &[u8]) -> Vec<u8> {
        std::fs::write(self.0.join("payload"), bytes).unwrap();
        self.run(&["dgst", hash, "-sign", name, "payload"])
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        std::fs::remove_dir_all(Path::new(&self.0)).ok();
    }
}

/// A file like a key's, with a point next to the curve.
pub(in crate::host) fn off_the_curve() -> String {
    let openssl = Openssl::new("off");
    openssl.generate("key", "prime256v1");
    let pem = String::from_utf8(openssl.public("key")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(body).unwrap();
    *der.last_mut().unwrap() ^= 1;
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der)
    )
}

/// The two numbers of a signature, 32 bytes each.
fn numbers(signature: &[u8]) -> [Vec<u8>; 2] {
    let mut rest = &signature[2..];
    [(); 2].map(|()| {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        rest = &rest[2 + length..];
        let skip = number.iter().take_while(|byte| **byte == 0).count();
        let mut padded = vec![0; 32 - (length - skip)];
        padded.extend(&number[skip..]);
        padded
    })
}

/// A number in DER, as short as it can be.
fn integer(number: &[u8]) -> Vec<u8> {
    let skip = number
        .iter()
        .take_while(|byte| **byte == 0)
        .count()
        .min(number.len() - 1);
    let mut value = number[skip..].to_vec();
    if value[0] > 0x7f {
        value.insert(0, 0);
    }
    let mut der = vec![2, u8::try_from(value.len()).unwrap()];
    der.extend(value);
    der
}

fn sequence(r: &[u8], s: &[u8]) -> Vec<u8> {
    let body = [integer(r), integer(s)].concat();
    let mut der = vec![0x30, u8::try_from(body.len()).unwrap()];
    der.extend(body);
    der
}

fn less(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0i16;
    let mut out: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let digit = i16::from(*a) - i16::from(*b) - borrow;
            borrow = i16::from(digit < 0);
            u8::try_from(digit.rem_euclid(256)).unwrap()
        })
        .collect();
    out.reverse();
    out
}

#[test]
fn what_openssl_signs_is_verified_and_nothing_else() {
    let openssl = Openssl::new("good");
    for name in ["ours", "other"] {
        openssl.generate(name, "prime256v1");
    }
    let key = PublicKey::parse(&openssl.public("ours")).unwrap();
    let other = PublicKey::parse(&openssl.public("other")).unwrap();
    assert!(is_on_curve(&key));
    for _ in 0..5 {
        let signature = openssl.sign("ours", "-sha256", PAYLOAD);
        assert!(verifies(&key, PAYLOAD, &signature));
        assert!(!verifies(&other, PAYLOAD, &signature));
        assert!(!verifies(&key, b"{\"critical\": [] }", &signature));
        assert!(!verifies(&key, b"", &signature));
    }
    // The same curve and another hash is another algorithm.
    assert!(!verifies(
        &key,
        PAYLOAD,
        &openssl.sign("ours", "-sha512", PAYLOAD)
    ));
    openssl.generate("p384", "secp384r1");
    assert!(PublicKey::parse(&openssl.public("p384")).is_err());
    assert!(!verifies(
        &key,
        PAYLOAD,
        &openssl.sign("p384", "-sha256", PAYLOAD)
    ));
    let off = PublicKey::parse(off_the_curve().as_bytes()).unwrap();
    assert!(!is_on_curve(&off) && !verifies(&off, PAYLOAD, &openssl.sign("ours", "-sha256", PAYLOAD)));
}

#[test]
fn a_forged_or_broken_signature_is_none() {
    let openssl = Openssl::new("bad");
    openssl.generate("ours", "prime256v1");
    let key = PublicKey::parse(&openssl.public("ours")).unwrap();
    let good = openssl.sign("ours", "-sha256", PAYLOAD);
    let [r, s] = numbers(&good);
    assert_eq!(sequence(&r, &s), good);
    // Its twin is as good: Go does not choose between the two.
    assert!(verifies(&key, PAYLOAD, &sequence(&r, &less(&ORDER, &s))));
    let (zero, one) = ([0; 32], {
        let mut one = [0; 32];
        one[31] = 1;
        one
    });
    let mut bad = vec![
        ("nothing", Vec::new()),
        ("r is zero", sequence(&zero, &s)),
        ("s is zero", sequence(&r, &zero)),
        ("both are zero", sequence(&zero, &zero)),
        ("both are one", sequence(&one, &one)),
        ("r is the order", sequence(&ORDER, &s)),
        ("s is the order", sequence(&r, &ORDER)),
        ("r and s are the order", sequence(&ORDER, &ORDER)),
        ("swapped", sequence(&s, &r)),
        ("without DER", [r.clone(), s.clone()].concat()),
        ("an empty sequence", vec![0x30, 0]),
        ("a byte behind", [good.clone(), vec![0]].concat()),
        ("twice", [good.clone(), good.clone()].concat()),
    ];
    let inside = |extra: &[u8]| {
        let body = [&good[2..], extra].concat();
        [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
    };
    bad.push(("a byte inside", inside(&[0])));
    bad.push(("a third number", inside(&integer(&one))));
    // BER writes the length in more bytes than it needs, and numbers with zeros in front.
    bad.push(("a long length", [vec![0x30, 0x81], good[1..].to_vec()].concat()));
    bad.push((
        "an indefinite length",
        [vec![0x30, 0x80], good[2..].to_vec(), vec![0, 0]].concat(),
    ));
    let padded = {
        let mut first = integer(&r);
        first[1] += 1;
        first.insert(2, 0);
        let body = [first, integer(&s)].concat();
        [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
    };
    bad.push(("a zero in front", padded));
    let negative = {
        let mut high = vec![2, 32];
        high.extend(less(&zero, &r));
        let body = [high, integer(&s)].concat();
        [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
    };
    bad.push(("a negative number", negative));
    for (what, signature) in &bad {
        assert!(!verifies(&key, PAYLOAD, signature), "{what}: {signature:02x?}");
    }
    for end in 0..good.len() {
        assert!(!verifies(&key, PAYLOAD, &good[..end]), "cut after {end}");
    }
    for at in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        assert!(!verifies(&key, PAYLOAD, &flipped), "bit {at}");
    }
}
