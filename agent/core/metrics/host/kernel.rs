//! Single figures of the kernel's.

use super::{Collected, Texts, number, only, words};
use crate::metrics::text::{Exposition, Kind};

pub(super) fn filefd(texts: &Texts, out: &mut Exposition) -> Collected {
    let all = words(texts.file_nr.as_deref()?);
    let (allocated, maximum) = (number(&all, 0)?, number(&all, 2)?);
    let help = "File descriptor statistics: allocated.";
    out.single("node_filefd_allocated", Kind::Gauge, help, Some(allocated));
    let help = "File descriptor statistics: maximum.";
    out.single("node_filefd_maximum", Kind::Gauge, help, Some(maximum));
    Some(())
}

pub(super) fn entropy(texts: &Texts, out: &mut Exposition) -> Collected {
    let [available, pool] = texts.entropy.each_ref().map(|text| only(text.as_ref()));
    let help = "Bits of available entropy.";
    out.single("node_entropy_available_bits", Kind::Gauge, help, available);
    let help = "Bits of entropy pool.";
    out.single("node_entropy_pool_size_bits", Kind::Gauge, help, pool);
    available.map(drop)
}

pub(super) fn time(texts: &Texts, out: &mut Exposition) -> Collected {
    let help = "System time in seconds since epoch (1970).";
    out.single("node_time_seconds", Kind::Gauge, help, Some(texts.now?));
    Some(())
}

pub(super) fn uname(texts: &Texts, out: &mut Exposition) -> Collected {
    let [domain, host, release, system, version] =
        texts.uname.each_ref().map(|text| text.as_deref().map(str::trim));
    let help = "Labeled system information as provided by the uname system call.";
    let labels = [
        ("domainname", domain?),
        ("machine", texts.architecture),
        ("nodename", host?),
        ("release", release?),
        ("sysname", system?),
        ("version", version?),
    ];
    out.metric("node_uname_info", Kind::Gauge, help)
        .sample(&labels, true);
    Some(())
}
