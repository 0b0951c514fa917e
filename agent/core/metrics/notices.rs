//! What was told as it happened, and what became of it.

use super::text::{Exposition, Kind};
use super::{Notices, Pushed};
use crate::notice::What;

/// How one figure is had.
type Of = fn(&Pushed) -> u64;

const PUSHED: [(&str, Kind, &str, Of); 3] = [
    (
        "monopod_events_delivered_total",
        Kind::Counter,
        "Notices that a receiver has taken.",
        |pushed| pushed.delivered,
    ),
    (
        "monopod_events_dropped_total",
        Kind::Counter,
        "Notices that a receiver will not get: too many waited, or it refused them for good.",
        |pushed| pushed.dropped,
    ),
    (
        "monopod_events_waiting",
        Kind::Gauge,
        "Notices that wait on the disk for a receiver.",
        |pushed| pushed.waiting,
    ),
];

pub(super) fn write(out: &mut Exposition, notices: Option<&Notices>) {
    let Some(notices) = notices else { return };
    let help = "What was told as it happened, by kind.";
    let mut told = out.metric("monopod_notices_total", Kind::Counter, help);
    for (kind, count) in What::KINDS.iter().zip(notices.told) {
        told.sample(&[("kind", kind)], count);
    }
    let receivers = [("webhook", notices.webhook), ("event_bus", notices.event_bus)];
    for (name, kind, help, of) in PUSHED {
        let mut samples = receivers
            .iter()
            .filter_map(|(to, pushed)| Some((*to, of(&pushed.as_ref().copied()?))))
            .peekable();
        if samples.peek().is_none() {
            continue;
        }
        let mut metric = out.metric(name, kind, help);
        for (to, count) in samples {
            metric.sample(&[("to", to)], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_and_each_receiver_has_its_figure() {
        let mut out = Exposition::default();
        let pushed = Pushed {
            delivered: 2,
            dropped: 1,
            waiting: 3,
        };
        let notices = Notices {
            told: [1, 2, 3, 4, 5, 6, 7, 8, 9],
            webhook: Some(pushed),
            event_bus: None,
        };
        write(&mut out, Some(&notices));
        let text = out.finish();
        for line in [
            "monopod_notices_total{kind=\"container-not-ours\"} 1\n",
            "monopod_notices_total{kind=\"unseen\"} 9\n",
            "monopod_events_delivered_total{to=\"webhook\"} 2\n",
            "monopod_events_dropped_total{to=\"webhook\"} 1\n",
            "monopod_events_waiting{to=\"webhook\"} 3\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("event_bus"), "{text}");
    }
}
