//! Whether the engine's disk has room for an image, before anything is loaded.
//!
//! ```text
//! needs = packed size of the layers the engine lacks     + 128 MiB: with less it can't fit
//! wants = packed size of the layers the engine lacks × 3 + 128 MiB: with less it may not
//! ```
//!
//! A registry tells packed sizes only. Layers of programs and libraries unpack to twice their size and a half, and the
//! packed file lies beside until its layer is unpacked: three times is enough for nearly every image. What is packed
//! already (models, archives) unpacks to its own size, so that between the two nobody knows, and the pull shows. The
//! rest is for what others write meanwhile; a disk that is filled to its last byte stops the machine's logs.

use std::collections::BTreeSet;

/// Room for a layer, as a multiple of its packed size.
pub const UNPACKING: u64 = 3;
/// What has to be left afterwards.
pub const RESERVE: u64 = 128 << 20;

/// A layer, as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// `sha256:...` of the packed file.
    pub digest: String,
    /// Its packed size in bytes.
    pub size: u64,
}

/// Whether it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It does.
    Enough,
    /// It may, and most don't.
    Tight {
        /// What would be enough, by the rule above.
        wants: u64,
    },
    /// It can't.
    Short {
        /// The least it needs.
        needs: u64,
        /// What would be enough.
        wants: u64,
    },
}

/// Whether these layers fit.
pub fn room(lacking: &[Layer], free: u64) -> Room {
    // An image may have a layer twice; it is loaded once.
    let mut seen = BTreeSet::new();
    let packed = lacking
        .iter()
        .filter(|layer| seen.insert(&layer.digest))
        .fold(0u64, |sum, layer| sum.saturating_add(layer.size));
    if packed == 0 {
        return Room::Enough;
    }
    let needs = packed.saturating_add(RESERVE);
    let wants = packed.saturating_mul(UNPACKING).saturating_add(RESERVE);
    if wants <= free {
        Room::Enough
    } else if needs <= free {
        Room::Tight { wants }
    } else {
        Room::Short { needs, wants }
    }
}

/// The layers the engine lacks. It shares a layer with an image it has if that layer and all below it are the same
/// unpacked; `unpacked` are their ids in the image's configuration, where that is known, and without them all count.
pub fn lacking<'l>(layers: &'l [Layer], unpacked: Option<&[String]>, here: &[Vec<String>]) -> &'l [Layer] {
    let shared = unpacked
        .filter(|unpacked| unpacked.len() == layers.len())
        .and_then(|unpacked| here.iter().map(|one| in_common(unpacked, one)).max())
        .unwrap_or_default();
    layers.get(shared..).unwrap_or_default()
}

fn in_common(one: &[String], other: &[String]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(sizes: &[u64]) -> Vec<Layer> {
        let layer = |(n, size): (usize, &u64)| Layer {
            digest: format!("sha256:{n}"),
            size: *size,
        };
        sizes.iter().enumerate().map(layer).collect()
    }

    fn ids(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn three_times_the_packed_size_and_the_reserve() {
        let image = layers(&[10 << 20, 20 << 20]);
        let wants = (90 << 20) + RESERVE;
        assert_eq!(room(&image, wants), Room::Enough);
        assert_eq!(room(&image, wants - 1), Room::Tight { wants });
    }

    #[test]
    fn only_what_cannot_fit_is_refused() {
        let image = layers(&[10 << 20, 20 << 20]);
        let (needs, wants) = ((30 << 20) + RESERVE, (90 << 20) + RESERVE);
        assert_eq!(room(&image, needs), Room::Tight { wants });
        assert_eq!(room(&image, needs - 1), Room::Short { needs, wants });
    }

    #[test]
    fn what_is_here_needs_no_room_even_on_a_full_disk() {
        assert_eq!(room(&[], 0), Room::Enough);
    }

    #[test]
    fn a_layer_that_is_there_twice_counts_once() {
        let mut image = layers(&[10 << 20]);
        image.push(image[0].clone());
        assert_eq!(room(&image, (30 << 20) + RESERVE), Room::Enough);
    }

    #[test]
    fn sizes_nobody_can_add_up_are_too_large_and_no_panic() {
        assert!(matches!(
            room(&layers(&[u64::MAX, u64::MAX]), u64::MAX - 1),
            Room::Short { .. }
        ));
    }

    #[test]
    fn layers_below_a_common_one_are_shared_and_others_are_not() {
        let image = layers(&[1, 2, 3]);
        let rest = |here: &[Vec<String>]| lacking(&image, Some(&ids("abc")), here).len();
        assert_eq!(rest(&[]), 3);
        assert_eq!(rest(&[ids("ab"), ids("axc")]), 1);
        // The same layer on another base is another layer on disk.
        assert_eq!(rest(&[ids("xbc")]), 3);
        assert_eq!(rest(&[ids("abcd")]), 0);
    }

    #[test]
    fn where_the_configuration_is_unknown_or_odd_all_count() {
        let image = layers(&[1, 2]);
        assert_eq!(lacking(&image, None, &[ids("ab")]).len(), 2);
        assert_eq!(lacking(&image, Some(&ids("abc")), &[ids("abc")]).len(), 2);
    }
}
