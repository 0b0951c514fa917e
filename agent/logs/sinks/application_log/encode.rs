//! Lines as they stand in the file: what [`LineStyler`] makes of them, one behind the other.

use monopod_core::logs::{Batch, LineStyler};

/// Every line of the batch, behind what `out` holds. Two runs over the same lines give the same bytes: replay depends on
/// it.
pub(super) fn encode(styler: &LineStyler, batch: &Batch, out: &mut Vec<u8>) {
    out.reserve(batch.bytes());
    for line in batch.lines() {
        styler.render(&line, out);
    }
}
