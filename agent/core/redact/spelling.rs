//! Base64 of a value at any place of a longer text.
//!
//! Invariant: it is made in one piece, because a string that grows leaves its old bytes behind unwiped.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

const BITS_OF_BYTE: usize = 8;
const BITS_OF_CHARACTER: usize = 6;

/// How many places in a group of three bytes a value can begin at.
pub(super) const SHIFTS: usize = 3;

/// Base64 of the value after `shift` bytes of something else: of a longer text's base64 the value
/// determines all characters but those it shares with its neighbours, and these are left out.
pub(super) fn base64_shifted(value: &[u8], shift: usize) -> Zeroizing<Vec<u8>> {
    let mut shifted = Zeroizing::new(Vec::with_capacity(shift + value.len()));
    shifted.resize(shift, 0);
    shifted.extend_from_slice(value);
    let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(&*shifted));
    let whole = characters(shift, &(0..value.len()));
    Zeroizing::new(encoded.as_bytes().get(whole).unwrap_or_default().to_owned())
}

/// Where a part of the value lies in what [`base64_shifted`] gives for all of it.
pub(super) fn base64_part(shift: usize, part: &Range<usize>) -> Range<usize> {
    let skipped = characters(shift, &(0..0)).start;
    let Range { start, end } = characters(shift, part);
    start.saturating_sub(skipped)..end.saturating_sub(skipped)
}

/// The characters that these bytes determine alone.
fn characters(shift: usize, bytes: &Range<usize>) -> Range<usize> {
    let from = ((shift + bytes.start) * BITS_OF_BYTE).div_ceil(BITS_OF_CHARACTER);
    let to = (shift + bytes.end) * BITS_OF_BYTE / BITS_OF_CHARACTER;
    from..to.max(from)
}
