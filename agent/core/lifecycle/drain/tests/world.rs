//! A world in virtual time: load balancers, an engine, a shipper and a group that answer late, with errors, or never.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Action, Answer, Begun, Cause, Drain, Failure, Input, News, Orders, Place};
use super::seconds;

/// How one call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Works,
    Fails,
    Refused,
    /// It has its effect, and the answer is lost.
    Lost,
    Never,
}

/// What the world is like.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) orders: Orders,
    /// When, why, and after how long everything is over.
    pub(super) causes: Vec<(Duration, Cause, Option<Duration>)>,
    /// Used one after the other, again and again.
    pub(super) balancers: Vec<(Duration, Fate)>,
    pub(super) engine: Vec<(Duration, Fate)>,
    pub(super) shipper: (Duration, Fate),
    pub(super) group: Vec<(Duration, Fate)>,
    /// How long a balancer needs to let go.
    pub(super) lets_go: Duration,
    /// How long the container takes after its stop signal; `None`: until SIGKILL.
    pub(super) ends: Option<Duration>,
    /// It ends by itself then.
    pub(super) dies: Option<Duration>,
    /// After a cause, until the group waits for the hook.
    pub(super) group_begins: Duration,
    /// The agent is killed then, and comes back after so long.
    pub(super) crash: Option<(Duration, Duration)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Balancer(usize),
    Stop,
    Kill,
    Flush,
    Hook,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Cause(Cause, Option<Duration>),
    Answer(Slot, u32, Answer),
    /// The group hears it, and answers if it is not lost.
    Completes(u32, Fate),
    Ends,
    Crash,
    Back,
}

/// What happened, for the properties to be read from.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) actions: Vec<(Duration, Action)>,
    /// The container's end.
    pub(super) ended: Option<Duration>,
    pub(super) completed: u32,
    pub(super) done: Vec<Duration>,
    /// The causes the agent has heard of, with the ends that count.
    pub(super) heard: Vec<(Duration, Cause, Option<Duration>)>,
    /// When the balancers had let go, as the agent was told.
    pub(super) left: BTreeMap<usize, Duration>,
    pub(super) answered_complete: Option<Duration>,
    pub(super) resumed: Option<Duration>,
}

struct World<'a> {
    setting: &'a Setting,
    now: Duration,
    drain: Option<Drain>,
    queue: Vec<(Duration, u32, Event)>,
    number: u32,
    latest: BTreeMap<Slot, u32>,
    used: BTreeMap<Slot, usize>,
    deregistered: BTreeMap<usize, Duration>,
    running: bool,
    begun: Option<Duration>,
    noted: Option<Begun>,
    waits_from: Option<Duration>,
    trace: Trace,
}

/// Runs it to its end.
pub(super) fn run(setting: &Setting) -> Trace {
    let mut world = World {
        setting,
        now: Duration::ZERO,
        drain: Some(Drain::new(setting.orders)),
        queue: Vec::new(),
        number: 0,
        latest: BTreeMap::new(),
        used: BTreeMap::new(),
        deregistered: BTreeMap::new(),
        running: true,
        begun: None,
        noted: None,
        waits_from: None,
        trace: Trace::default(),
    };
    for (at, cause, end) in &setting.causes {
        let end = end.map(|end| *at + end);
        world.at(*at, Event::Cause(*cause, end));
    }
    if let Some(at) = setting.dies {
        world.at(at, Event::Ends);
    }
    if let Some((at, down)) = setting.crash {
        world.at(at, Event::Crash);
        world.at(at + down, Event::Back);
    }
    let mut rounds = 0;
    while world.step() {
        rounds += 1;
        assert!(
            rounds < 20_000,
            "it goes on for ever: {:?}",
            world.trace.actions.last()
        );
    }
    world.trace
}

impl World<'_> {
    fn at(&mut self, at: Duration, event: Event) {
        self.number += 1;
        self.queue.push((at, self.number, event));
    }

    /// The next thing; false when there is none.
    fn step(&mut self) -> bool {
        let next = self
            .queue
            .iter()
            .enumerate()
            .min_by_key(|(_, (at, number, _))| (*at, *number))
            .map(|(index, (at, _, _))| (index, *at));
        let wake = self.drain.as_ref().and_then(Drain::wake_at);
        match (next, wake) {
            (None, None) => false,
            (Some((index, at)), wake) if wake.is_none_or(|wake| at <= wake) => {
                self.now = self.now.max(at);
                let (_, _, event) = self.queue.swap_remove(index);
                self.happens(event);
                true
            }
            (_, Some(wake)) => {
                self.now = self.now.max(wake);
                self.give(Input::Tick);
                let next = self.drain.as_ref().and_then(Drain::wake_at);
                assert!(
                    next.is_none_or(|next| next > self.now),
                    "{next:?} is not after {:?}",
                    self.now
                );
                true
            }
            (Some(_), None) => unreachable!(),
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Cause(cause, end) => {
                // The group is told once, whoever hears it.
                if cause == Cause::Lifecycle && self.waits_from.is_none() {
                    self.waits_from = Some(self.now + self.setting.group_begins);
                }
                if self.drain.is_none() {
                    // The notices are read again by the next agent.
                    let back = self.setting.crash.map(|(at, down)| at + down).unwrap();
                    self.at(back, Event::Cause(cause, end));
                    return;
                }
                self.begun.get_or_insert(self.now);
                let counts = end.map(|end| end.max(self.now + super::super::LEAST));
                if !self.trace.heard.iter().any(|(_, one, _)| *one == cause) || counts.is_some() {
                    self.trace.heard.push((self.now, cause, counts));
                }
                self.give(Input::Cause(cause, end));
            }
            Event::Answer(slot, number, answer) => {
                if let (Slot::Balancer(at), Answer::Seen(_, Place::Absent)) = (slot, answer) {
                    self.trace.left.entry(at).or_insert(self.now);
                }
                self.answer(slot, number, answer);
            }
            Event::Completes(number, fate) => {
                let waits = self.waits_from.is_some_and(|from| from <= self.now);
                let answer = if waits && self.trace.completed == 0 {
                    self.trace.completed += 1;
                    Answer::HookCompleted
                } else {
                    Answer::HookNotWaiting
                };
                if fate == Fate::Works {
                    if answer == Answer::HookCompleted && self.latest.get(&Slot::Hook) == Some(&number) {
                        self.trace.answered_complete = Some(self.now);
                    }
                    self.answer(Slot::Hook, number, answer);
                }
            }
            Event::Ends => {
                if std::mem::take(&mut self.running) {
                    self.trace.ended = Some(self.now);
                    self.give(Input::Answer(Answer::Stopped));
                }
            }
            Event::Crash => self.crash(),
            Event::Back => self.back(),
        }
    }

    fn answer(&mut self, slot: Slot, number: u32, answer: Answer) {
        // What was asked again, or by an agent that is gone, is answered to nobody.
        if self.latest.get(&slot) == Some(&number) {
            self.give(Input::Answer(answer));
        }
    }

    fn crash(&mut self) {
        let Some(drain) = self.drain.take() else { return };
        self.latest.clear();
        self.noted = Some(Begun {
            ago: self.begun.map_or(Duration::ZERO, |begun| self.now - begun),
            causes: drain.causes().collect(),
            phase: drain.phase(),
            hook: drain.hook(),
        });
    }

    fn back(&mut self) {
        let mut noted = self.noted.take().unwrap();
        if let (Some((_, down)), Some(_)) = (self.setting.crash, self.begun) {
            noted.ago += down;
        }
        self.trace.resumed = self.begun.map(|_| self.now);
        let (drain, actions) = Drain::resume(self.setting.orders, &noted, self.now);
        self.drain = Some(drain);
        self.act(actions);
    }

    fn give(&mut self, input: Input) {
        let Some(drain) = &mut self.drain else { return };
        let actions = drain.on(input, self.now, 0.7);
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.trace.actions.push((self.now, action.clone()));
            match action {
                Action::Deregister(at) => {
                    let works = Answer::Deregistered(at);
                    let fate = self.call(Slot::Balancer(at), works, |failure| {
                        Answer::NotDeregistered(at, failure)
                    });
                    if matches!(fate, Fate::Works | Fate::Lost) {
                        self.deregistered.entry(at).or_insert(self.now);
                    }
                }
                Action::Look(at) => {
                    let place = match self.deregistered.get(&at) {
                        Some(since) if self.now >= *since + self.setting.lets_go => Place::Absent,
                        Some(_) => Place::Leaving,
                        None => Place::Serving,
                    };
                    self.call(Slot::Balancer(at), Answer::Seen(at, place), |_| {
                        Answer::NotSeen(at)
                    });
                }
                Action::Stop => self.engine(Slot::Stop),
                Action::Kill => self.engine(Slot::Kill),
                Action::Flush { until } => {
                    assert!(until >= self.now);
                    let (delay, fate) = self.setting.shipper;
                    self.number += 1;
                    let number = self.number;
                    self.latest.insert(Slot::Flush, number);
                    if fate != Fate::Never {
                        self.at(
                            self.now + delay,
                            Event::Answer(Slot::Flush, number, Answer::Flushed),
                        );
                    }
                }
                Action::CompleteHook => {
                    let (number, delay, fate) = self.begin(Slot::Hook);
                    let failed = |failure| Event::Answer(Slot::Hook, number, Answer::HookFailed(failure));
                    let at = self.now + delay;
                    match fate {
                        Fate::Works | Fate::Lost => self.at(at, Event::Completes(number, fate)),
                        Fate::Fails => self.at(at, failed(Failure::Transient)),
                        Fate::Refused => self.at(at, failed(Failure::Refused)),
                        Fate::Never => {}
                    }
                }
                Action::Heartbeat => {}
                Action::Tell(News::Done) => self.trace.done.push(self.now),
                Action::Tell(_) => {}
            }
        }
    }

    fn engine(&mut self, slot: Slot) {
        let (number, delay, fate) = self.begin(slot);
        let at = self.now + delay;
        let answer = |answer| Event::Answer(slot, number, answer);
        match fate {
            Fate::Fails | Fate::Refused => self.at(at, answer(Answer::NotStopped)),
            Fate::Never => {}
            Fate::Works | Fate::Lost if !self.running => self.at(at, answer(Answer::Stopped)),
            Fate::Works | Fate::Lost if slot == Slot::Kill => self.at(at, Event::Ends),
            Fate::Works | Fate::Lost => {
                if let Some(takes) = self.setting.ends {
                    self.at(at + takes, Event::Ends);
                }
            }
        }
    }

    fn call(&mut self, slot: Slot, works: Answer, fails: impl Fn(Failure) -> Answer) -> Fate {
        let (number, delay, fate) = self.begin(slot);
        let answer = match fate {
            Fate::Works => works,
            Fate::Fails => fails(Failure::Transient),
            Fate::Refused => fails(Failure::Refused),
            Fate::Lost | Fate::Never => return fate,
        };
        self.at(self.now + delay, Event::Answer(slot, number, answer));
        fate
    }

    fn begin(&mut self, slot: Slot) -> (u32, Duration, Fate) {
        self.number += 1;
        self.latest.insert(slot, self.number);
        let fates = match slot {
            Slot::Balancer(_) => &self.setting.balancers,
            Slot::Stop | Slot::Kill => &self.setting.engine,
            Slot::Flush | Slot::Hook => &self.setting.group,
        };
        let used = self.used.entry(slot).or_default();
        let (delay, fate) = fates[*used % fates.len()];
        *used += 1;
        (self.number, delay, fate)
    }
}

/// A world in which everything works at once.
pub(super) fn kind(orders: Orders) -> Setting {
    let soon = (Duration::from_millis(50), Fate::Works);
    Setting {
        orders,
        causes: Vec::new(),
        balancers: vec![soon],
        engine: vec![soon],
        shipper: soon,
        group: vec![soon],
        lets_go: seconds(7),
        ends: Some(seconds(1)),
        dies: None,
        group_begins: Duration::ZERO,
        crash: None,
    }
}
