//! Hands notices to those who carry them out of the machine, whenever each of them begins.

use std::collections::{BTreeMap, VecDeque};

use monopod_core::notice::Notice;

/// Who comes late gets so many of those that were told before.
const KEPT: usize = 100;

/// Takes a notice, at once.
pub type Taker = Box<dyn Fn(&Notice) + Send>;

#[derive(Default)]
pub(super) struct Desk {
    /// The newest, each with its number.
    kept: VecDeque<(u64, Notice)>,
    next: u64,
    slots: BTreeMap<&'static str, Slot>,
}

#[derive(Default)]
struct Slot {
    taker: Option<Taker>,
    /// What was handed over under this name is not handed over again.
    next: u64,
}

impl Desk {
    /// To everybody who is there.
    pub(super) fn hand(&mut self, notice: &Notice) {
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((self.next, notice.clone()));
        self.next += 1;
        for slot in self.slots.values_mut() {
            if let Some(taker) = &slot.taker {
                taker(notice);
                slot.next = self.next;
            }
        }
    }

    /// This one takes them from now on in place of whoever did under this name, and what was not taken yet.
    pub(super) fn attach(&mut self, name: &'static str, taker: Taker) {
        let slot = self.slots.entry(name).or_default();
        for (_, notice) in self.kept.iter().filter(|(number, _)| *number >= slot.next) {
            taker(notice);
        }
        slot.next = self.next;
        slot.taker = Some(taker);
    }

    /// Nobody takes them under this name; they are kept for who comes.
    pub(super) fn detach(&mut self, name: &'static str) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.taker = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use monopod_core::notice::What;

    use super::*;

    fn notice(number: u64) -> Notice {
        let text = String::new();
        Notice::new(number.to_string(), number, What::Unseen { text })
    }

    #[test]
    fn who_comes_late_gets_what_was_told_before_and_nothing_twice() {
        let mut desk = Desk::default();
        let heard: Arc<Mutex<Vec<u64>>> = Arc::default();
        let taker = || -> Taker {
            let heard = Arc::clone(&heard);
            Box::new(move |notice| heard.lock().unwrap().push(notice.at))
        };
        desk.hand(&notice(0));
        desk.attach("a", taker());
        desk.hand(&notice(1));
        desk.detach("a");
        desk.hand(&notice(2));
        desk.attach("a", taker());
        assert_eq!(*heard.lock().unwrap(), [0, 1, 2]);
        desk.attach("b", taker());
        assert_eq!(*heard.lock().unwrap(), [0, 1, 2, 0, 1, 2]);
        for number in 3..500 {
            desk.hand(&notice(number));
        }
        assert_eq!(desk.kept.len(), KEPT);
    }
}
