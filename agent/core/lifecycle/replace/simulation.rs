//! Twenty agents, one group, virtual time: each second every agent probes, decides and asks as the real one does, and
//! the group and the load balancers take their time.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::RestartPolicy;
use crate::lifecycle::{OnUnhealthy, Shutdown};
use crate::supervise::care::{Care, Deed, Rules};
use crate::supervise::health::Thresholds;

const SIZE: usize = 20;
const MINUTE: u64 = 60;
/// All machines are long up when it begins.
const BEGIN: u64 = 3600;
/// Between SetInstanceHealth and the end of a machine, and until there is another one.
const DOOMED: u64 = 30;
const GOING: u64 = 90;
const COMING: u64 = 120;
/// An application that was started needs so long.
const START: u64 = 5;
const PROBE: u64 = 10;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What happens to the group.
#[derive(Clone, Debug)]
struct Story {
    /// Seconds a load balancer needs to notice; `None` without any.
    balancer: Option<u64>,
    /// Seconds until everybody sees what the group was asked for.
    visible: u64,
    /// In seconds after [`BEGIN`]: before it the group takes a call and no notice.
    grace: u64,
    /// Of the machine with this number: sick from, until, in seconds after [`BEGIN`].
    sick: Vec<(u64, u64)>,
    /// A machine that is launched while this lasts is sick as well.
    shared_until: u64,
    restart: RestartPolicy,
    brakes: Brakes,
    seed: u64,
}

impl Story {
    fn new(seed: u64) -> Self {
        Self {
            balancer: Some(60),
            visible: 5,
            grace: 0,
            sick: vec![(0, 0); SIZE],
            shared_until: 0,
            restart: RestartPolicy::OnFailure,
            brakes: Brakes::default(),
            seed,
        }
    }

    /// Everybody at once, up to a stagger, for so long.
    fn shared(mut self, seconds: u64, stagger: u64) -> Self {
        self.shared_until = seconds;
        for n in 0..SIZE {
            let onset = self.chance(stagger);
            self.sick[n] = (onset, seconds);
        }
        self
    }

    fn chance(&mut self, below: u64) -> u64 {
        // splitmix64
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % (below + 1)
    }

    fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.chance(1_000_000)).unwrap()) / 1_000_000.0
    }

    fn run(mut self, seconds: u64) -> Told {
        let mut world = World {
            machines: Vec::new(),
            launched: 0,
            told: Told::default(),
        };
        for n in 0..SIZE {
            let (from, until) = self.sick[n];
            let mut machine = world.launch(&mut self, 0, (BEGIN + from, BEGIN + until));
            machine.phase = Phase::InService;
            machine.balancer = true;
            machine.care.gate_over(true, Some("200"));
            machine.gate = None;
            world.machines.push(machine);
        }
        for now in BEGIN - 60..BEGIN + seconds {
            world.second(&mut self, now);
        }
        world.told
    }
}

/// What came of it.
#[derive(Debug, Default)]
struct Told {
    /// Who asked to be replaced and was heard, when, in seconds after the beginning.
    asked: Vec<(u64, u64)>,
    /// All calls.
    calls: Vec<(u64, u64)>,
    restarts: usize,
    /// Machines in service, the fewest.
    fewest: Option<usize>,
    held: BTreeSet<String>,
}

struct Machine {
    number: u64,
    launched: u64,
    phase: Phase,
    /// When the group calls it unhealthy, and everybody sees that.
    unhealthy: Option<u64>,
    gone_at: Option<u64>,
    /// The gate's end, while it asks.
    gate: Option<u64>,
    sick: (u64, u64),
    started: u64,
    balancer: bool,
    /// Since when the load balancer's checks say something else.
    differs: Option<u64>,
    probe: u64,
    care: Care,
    asking: Option<Asking>,
    /// The group was seen to have heard.
    heard: bool,
}

impl Machine {
    fn is_well(&self, now: u64) -> bool {
        let sick = self.sick.0 <= now && now < self.sick.1;
        !sick && now >= self.started + START
    }
}

struct World {
    machines: Vec<Machine>,
    launched: u64,
    told: Told,
}

impl World {
    fn launch(&mut self, story: &mut Story, now: u64, sick: (u64, u64)) -> Machine {
        let rules = Rules {
            name: "app 1".to_owned(),
            on_unhealthy: OnUnhealthy::Replace,
            restart: story.restart,
            shutdown: Shutdown::Never,
            thresholds: Thresholds {
                healthy: 1,
                unhealthy: 3,
                start_period: at(60),
            },
            steady: at(60),
        };
        let mut care = Care::new(rules, at(now));
        care.can_be_asked(true);
        care.started(at(now));
        self.launched += 1;
        Machine {
            number: self.launched,
            launched: now,
            phase: Phase::Coming,
            unhealthy: None,
            gone_at: None,
            gate: Some(now + 300),
            sick,
            started: now,
            balancer: false,
            differs: None,
            probe: story.chance(PROBE - 1),
            care,
            asking: None,
            heard: false,
        }
    }

    fn group(&self, story: &Story, now: u64) -> Group {
        let members = self
            .machines
            .iter()
            .map(|machine| Member {
                id: format!("i-{}", machine.number),
                phase: machine.phase,
                healthy: machine.unhealthy.is_none_or(|at| now < at),
                served: story.balancer.map(|_| machine.balancer),
            })
            .collect();
        Group {
            members,
            desired: u32::try_from(SIZE).unwrap(),
        }
    }

    fn second(&mut self, story: &mut Story, now: u64) {
        for n in 0..self.machines.len() {
            self.balance(story, n, now);
            self.probe(story, n, now);
            self.ask(story, n, now);
        }
        self.scale(story, now);
        let in_service = self
            .machines
            .iter()
            .filter(|one| one.phase == Phase::InService)
            .count();
        let fewest = self.told.fewest.get_or_insert(in_service);
        *fewest = in_service.min(*fewest);
    }

    fn balance(&mut self, story: &Story, n: usize, now: u64) {
        let machine = &mut self.machines[n];
        let well = machine.is_well(now) && machine.phase == Phase::InService;
        if well == machine.balancer {
            machine.differs = None;
            return;
        }
        let since = *machine.differs.get_or_insert(now);
        if now - since >= story.balancer.unwrap_or_default() {
            (machine.balancer, machine.differs) = (well, None);
        }
    }

    fn probe(&mut self, story: &mut Story, n: usize, now: u64) {
        let (chance, machine) = (story.fraction(), &mut self.machines[n]);
        let well = machine.is_well(now);
        if let Some(end) = machine.gate {
            if well || now >= end {
                machine.gate = None;
                machine.care.gate_over(well, Some("200"));
            }
            return;
        }
        let mut deeds = machine.care.tick(at(now), chance);
        if now % PROBE == machine.probe {
            deeds.extend(machine.care.answered(well, "status 500", at(now), chance));
        }
        if deeds.contains(&Deed::Restart) {
            self.told.restarts += 1;
            machine.started = now;
            machine.care.started(at(now));
        }
    }

    fn ask(&mut self, story: &mut Story, n: usize, now: u64) {
        let machine = &mut self.machines[n];
        let Some(want) = machine.care.want() else {
            machine.asking = None;
            return;
        };
        let asking = machine
            .asking
            .get_or_insert_with(|| Asking::new(story.brakes, want.since, at(now)));
        if machine.heard || at(now) < asking.due() {
            return;
        }
        let group = self.group(story, now);
        let (chance, machine) = (story.fraction(), &mut self.machines[n]);
        let Some(asking) = &mut machine.asking else {
            return;
        };
        let me = format!("i-{}", machine.number);
        let look = Look {
            me: &me,
            uptime: at(now - machine.launched),
            is_sick: machine.care.is_sick(),
            group: &group,
        };
        match asking.looked(&look, at(now), chance) {
            Next::Later(Some(held)) => drop(self.told.held.insert(held.to_string())),
            Next::Later(None) => {}
            Next::Heard => machine.heard = true,
            Next::Ask => {
                asking.asked(Duration::ZERO, at(now));
                self.told.calls.push((machine.number, now - BEGIN));
                if now >= BEGIN + story.grace {
                    machine.unhealthy = Some(now + story.chance(story.visible));
                    self.told.asked.push((machine.number, now - BEGIN));
                }
            }
        }
    }

    fn scale(&mut self, story: &mut Story, now: u64) {
        for machine in &mut self.machines {
            let doomed = machine.unhealthy.is_some_and(|since| now >= since + DOOMED);
            if doomed && machine.gone_at.is_none() {
                (machine.phase, machine.gone_at) = (Phase::Going, Some(now + GOING));
            }
            if machine.phase == Phase::Coming && now >= machine.launched + COMING {
                machine.phase = Phase::InService;
            }
        }
        self.machines
            .retain(|machine| machine.gone_at.is_none_or(|at| now < at));
        while self.machines.len() < SIZE {
            let sick = (BEGIN, BEGIN + story.shared_until);
            let machine = self.launch(story, now, sick);
            self.machines.push(machine);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A dependency is gone: nobody asks for another machine, and restarts are few.
    #[test]
    fn a_shared_outage_replaces_nobody(seed: u64, minutes in 5..180u64, stagger in 0..60u64, delay in 10..150u64, never: bool) {
        let mut story = Story::new(seed).shared(minutes * MINUTE, stagger);
        story.balancer = Some(delay);
        if never {
            // No restart is tried, so that each wants to go at once.
            story.restart = RestartPolicy::Never;
        }
        let told = story.run((minutes + 20) * MINUTE);
        prop_assert!(told.asked.is_empty(), "{told:?}");
        let windows = usize::try_from(minutes / 30).unwrap() + 1;
        prop_assert!(told.restarts <= SIZE * 3 * windows, "{told:?}");
        prop_assert_eq!(told.fewest, Some(SIZE));
    }

    /// Nor where it comes over them one after the other, faster than one of them is given up.
    #[test]
    fn a_rolling_outage_replaces_nobody(seed: u64, gap in 1..30u64, minutes in 15..60u64, delay in 10..120u64) {
        let mut story = Story::new(seed);
        for n in 0..SIZE {
            let onset = gap * n as u64;
            story.sick[n] = (onset, onset + minutes * MINUTE);
        }
        story.balancer = Some(delay);
        let told = story.run((minutes + 30) * MINUTE);
        prop_assert!(told.asked.is_empty(), "{told:?}");
    }

    /// One that comes over them slowly is twenty sick machines: they go, one at a time.
    #[test]
    fn a_slow_one_replaces_one_at_a_time(seed: u64, gap in 5..15u64, delay in 10..120u64) {
        let mut story = Story::new(seed);
        for n in 0..SIZE {
            let onset = gap * MINUTE * n as u64;
            story.sick[n] = (onset, onset + 20 * MINUTE);
        }
        story.balancer = Some(delay);
        story.visible = 0;
        let told = story.run(gap * 20 * MINUTE + 40 * MINUTE);
        prop_assert!(told.fewest.unwrap() >= SIZE - 1, "{told:?}");
    }

    /// One sick machine is another one within minutes, and nobody else goes.
    #[test]
    fn one_sick_machine_is_replaced(seed: u64, who in 0..SIZE, delay in proptest::option::of(10..150u64)) {
        let mut story = Story::new(seed);
        story.sick[who] = (0, u64::MAX / 2);
        story.balancer = delay;
        let told = story.run(30 * MINUTE);
        let [(number, when)] = told.asked[..] else {
            panic!("{told:?}");
        };
        prop_assert_eq!(number, who as u64 + 1);
        let most = if delay.is_some() { 10 } else { 15 };
        prop_assert!(when <= most * MINUTE, "{told:?}");
    }

    /// A call within the grace period is lost, and made again: for the same machine, and not too often.
    #[test]
    fn a_lost_call_is_made_again(seed: u64, who in 0..SIZE, grace in 0..60u64, delay in proptest::option::of(10..150u64)) {
        let mut story = Story::new(seed);
        story.sick[who] = (0, u64::MAX / 2);
        (story.balancer, story.grace) = (delay, grace * MINUTE);
        let told = story.run(grace * MINUTE + 30 * MINUTE);
        let [(number, when)] = told.asked[..] else {
            panic!("{told:?}");
        };
        prop_assert_eq!(number, who as u64 + 1);
        prop_assert!(when <= grace * MINUTE + 15 * MINUTE, "{told:?}");
        prop_assert!(told.calls.iter().all(|(one, _)| *one == number), "{told:?}");
        prop_assert!(told.calls.windows(2).all(|two| two[1].1 - two[0].1 >= 5 * MINUTE), "{told:?}");
        prop_assert_eq!(told.fewest.unwrap(), SIZE - 1);
    }

    /// Two are replaced, one after the other.
    #[test]
    fn two_sick_machines_are_replaced(seed: u64, delay in 10..150u64) {
        let mut story = Story::new(seed);
        story.balancer = Some(delay);
        story.visible = 0;
        (story.sick[3], story.sick[11]) = ((0, u64::MAX / 2), (0, u64::MAX / 2));
        let told = story.run(60 * MINUTE);
        prop_assert_eq!(told.asked.len(), 2, "{:?}", told);
        prop_assert!(told.asked[1].1 <= 30 * MINUTE, "{told:?}");
        prop_assert!(told.fewest.unwrap() >= SIZE - 1, "{told:?}");
    }

    /// Without a load balancer nobody can see that the others are as sick; what goes in three hours is bounded.
    #[test]
    fn without_a_load_balancer_few_go(seed: u64, stagger in 0..60u64) {
        let mut story = Story::new(seed).shared(180 * MINUTE, stagger);
        story.balancer = None;
        let told = story.run(180 * MINUTE);
        prop_assert!(told.asked.len() <= 8, "{told:?}");
    }
}

/// The simulation can fail: without its brakes the group tears itself down.
#[test]
fn without_brakes_a_shared_outage_takes_the_group_down() {
    let mut story = Story::new(7).shared(60 * MINUTE, 10);
    story.brakes.max_unhealthy_percent = 100;
    let told = story.run(80 * MINUTE);
    assert!(told.asked.len() >= 5, "{told:?}");
}
