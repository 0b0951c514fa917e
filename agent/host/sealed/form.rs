//! The bytes of a copy.
//!
//! ```text
//! "monopod sealed 1\n" | owner's length (1) | owner | nonce (12) | ciphertext | tag (16)
//!
//! plain text: fetched at (8) | how many (4) | { length (4) | name | length (4) | content }* | zeros up to 256
//! ```
//!
//! Numbers are big-endian. What is in front of the nonce, and the copy's name, are authenticated with it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce};
use aws_lc_rs::rand;
use monopod_core::secret::Secret;
use zeroize::Zeroizing;

use super::key::Key;
use super::{Copy, SealedError};

const HEAD: &[u8] = b"monopod sealed 1\n";
/// Lengths are told apart in steps of this only.
const STEP: usize = 256;
/// More than any set of secrets has.
pub(super) const LARGEST: u64 = 64 << 20;

/// What a file turned out to be.
pub(super) enum Opening {
    /// All of it, and as it was.
    Copy(Copy),
    /// Anything else.
    Damaged,
}

/// The copy as it lies on the disk.
pub(super) fn seal(
    key: &Key,
    name: &str,
    files: &[(String, Secret)],
    fetched_at_millis: u64,
) -> Result<Vec<u8>, SealedError> {
    let failed = |what| SealedError::Cryptography { what };
    let mut text = write(files, fetched_at_millis).ok_or(failed("they are too large"))?;
    let front = front(key.owner()).ok_or(failed("the instance's id is too long"))?;
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| failed("there are no random bytes for a nonce"))?;
    let tag = key
        .cipher()?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            bound_to(&front, name),
            &mut text,
        )
        .map_err(|_| failed("the cipher refused"))?;
    Ok([&front, nonce.as_slice(), text.as_slice(), tag.as_ref()].concat())
}

/// Whose the copy says it is; nothing is known to be true of it yet.
pub(super) fn owner(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.strip_prefix(HEAD)?.split_first()?;
    rest.split_at_checked(usize::from(*length))
        .map(|(owner, _)| owner)
}

/// The files, if every byte is as it was written by this key's owner under this name.
pub(super) fn open(key: &Key, name: &str, bytes: Vec<u8>) -> Opening {
    // In place: what was the ciphertext is wiped as the plain text it becomes.
    let mut bytes = Zeroizing::new(bytes);
    opened(key, name, &mut bytes).map_or(Opening::Damaged, Opening::Copy)
}

fn opened(key: &Key, name: &str, bytes: &mut [u8]) -> Option<Copy> {
    let front = front(key.owner())?;
    let (found, rest) = bytes.split_at_mut_checked(front.len())?;
    if *found != *front {
        return None;
    }
    let (nonce, ciphertext) = rest.split_first_chunk_mut::<NONCE_LEN>()?;
    if ciphertext.len() < AES_256_GCM.tag_len() {
        return None;
    }
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let text = key
        .cipher()
        .ok()?
        .open_in_place(nonce, bound_to(&front, name), ciphertext);
    read(text.ok()?)
}

fn front(owner: &str) -> Option<Vec<u8>> {
    let length = u8::try_from(owner.len()).ok()?;
    Some([HEAD, &[length], owner.as_bytes()].concat())
}

/// The front says its own length, so no other pair of front and name has the same bytes.
fn bound_to(front: &[u8], name: &str) -> Aad<Vec<u8>> {
    Aad::from([front, name.as_bytes()].concat())
}

fn write(files: &[(String, Secret)], fetched_at_millis: u64) -> Option<Zeroizing<Vec<u8>>> {
    let content: usize = files
        .iter()
        .map(|(name, content)| 8 + name.len() + content.expose().len())
        .sum();
    let whole = (12 + content).next_multiple_of(STEP);
    if u64::try_from(whole).ok()? > LARGEST / 2 {
        return None;
    }
    // Room for all of it at once: a vector that grows leaves copies behind that nobody wipes.
    let mut text = Zeroizing::new(Vec::with_capacity(whole));
    text.extend_from_slice(&fetched_at_millis.to_be_bytes());
    text.extend_from_slice(&u32::try_from(files.len()).ok()?.to_be_bytes());
    for (name, content) in files {
        for part in [name.as_bytes(), content.expose().as_bytes()] {
            text.extend_from_slice(&u32::try_from(part.len()).ok()?.to_be_bytes());
            text.extend_from_slice(part);
        }
    }
    text.resize(whole, 0);
    Some(text)
}

fn read(text: &[u8]) -> Option<Copy> {
    let (fetched_at, rest) = text.split_first_chunk::<8>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut files = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let name = part(&mut rest)?.to_owned();
        files.push((name, Secret::new(part(&mut rest)?.to_owned())));
    }
    Some(Copy {
        files,
        fetched_at_millis: u64::from_be_bytes(*fetched_at),
    })
}

fn part<'t>(rest: &mut &'t [u8]) -> Option<&'t str> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (part, after) = after.split_at_checked(length)?;
    *rest = after;
    str::from_utf8(part).ok()
}
