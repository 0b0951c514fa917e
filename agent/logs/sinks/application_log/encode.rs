//! The bare format: the text of a line and a line feed, nothing else, as the file always looked.

use monopod_core::logs::Batch;

/// Every line of the batch, behind what `out` holds. Two runs over the same lines give the same bytes: replay depends on it.
pub(super) fn encode(batch: &Batch, out: &mut Vec<u8>) {
    out.reserve(batch.bytes());
    for line in batch.lines() {
        out.extend_from_slice(line.text.as_bytes());
        out.push(b'\n');
    }
}
