//! What comes of a kill, at any moment.

use std::collections::BTreeMap;
use std::time::Duration;

use monopod_testrig::AwsFault;

use super::{Far, lines_of, soon};
use crate::logs::Drained;
use crate::logs::testing::{EngineLog, Rig};

#[tokio::test]
async fn an_answer_that_was_lost_makes_no_second_object() {
    let (far, mut rig) = (Far::new(), Rig::new());
    far.aws.faults(&[AwsFault::lost("PutObject").times(3)]);
    rig.write(1_000);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(far.aws.count("PutObject"), 4);
    assert_eq!(far.objects().len(), 1);
    assert_eq!(far.lines(), rig.numbered_lines());
}

/// The object is there, the cursor doesn't know, and meanwhile the application goes on writing.
#[tokio::test]
async fn a_kill_between_the_object_and_the_cursor_puts_the_same_object_again() {
    let (far, mut rig) = (Far::new(), Rig::new());
    far.aws.faults(&[AwsFault::lost("PutObject")]);
    rig.write(1_000);
    drop(shipper_that_fails(&far, &rig).await);
    let before = far.objects();
    assert_eq!(lines_of(&before[0]), rig.numbered_lines());
    rig.write(500);
    // The plan is still there after the next kill.
    drop(shipper_that_fails(&far, &rig).await);
    far.aws.faults(&[]);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let after = far.objects();
    assert_eq!(after.len(), 2);
    assert_eq!(after[0], before[0], "the same bytes under the same name");
    assert_eq!(far.lines(), rig.numbered_lines());
}

/// Some lines of the object that was planned are not in the file any more: a power cut took them, and the file grows
/// again. The object may be all that is left of them.
#[tokio::test]
async fn a_planned_object_whose_lines_are_gone_is_left_alone() {
    let (far, mut rig) = (Far::new(), Rig::new());
    far.aws.faults(&[AwsFault::lost("PutObject")]);
    rig.write(1_000);
    drop(shipper_that_fails(&far, &rig).await);
    let before = far.objects();
    let whole = std::fs::read(rig.engine.path()).unwrap();
    let half: usize = whole
        .split_inclusive(|byte| *byte == b'\n')
        .take(500)
        .map(<[u8]>::len)
        .sum();
    std::fs::OpenOptions::new()
        .write(true)
        .open(rig.engine.path())
        .unwrap()
        .set_len(half as u64)
        .unwrap();
    rig.write(10);
    far.aws.faults(&[]);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let after = far.objects();
    assert_eq!(after.len(), 2);
    assert!(after.contains(&before[0]), "nothing is put over it");
    let again = after.iter().find(|object| object.key != before[0].key).unwrap();
    assert!(again.key.ends_with("_000000000000_r1.gz"), "{}", again.key);
    let expected = rig.numbered_lines();
    let expected: Vec<_> = expected[..500]
        .iter()
        .chain(&expected[1_000..])
        .cloned()
        .collect();
    assert_eq!(lines_of(again), expected);
}

/// The files themselves are gone: what comes begins elsewhere, behind a gap.
#[tokio::test]
async fn another_start_is_another_name() {
    let (far, mut rig) = (Far::new(), Rig::new());
    rig.write(10);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    drop(shipper);
    rig.write(1_000);
    far.aws.faults(&[AwsFault::lost("PutObject")]);
    drop(shipper_that_fails(&far, &rig).await);
    let before = far.objects();
    assert_eq!(before.len(), 2);
    for _ in 0..5 {
        rig.engine.rotate();
        rig.write(100);
    }
    far.aws.faults(&[]);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let after = far.objects();
    assert!(
        before.iter().all(|object| after.contains(object)),
        "nothing is put over them"
    );
    let own = |line: &String| line.starts_with("line ");
    assert_eq!(
        far.lines().iter().filter(|line| !own(line)).count(),
        1,
        "the gap is told"
    );
    let mut lines: Vec<_> = far.lines().into_iter().filter(own).collect();
    // Within one millisecond, as here, the order of files is not in their names.
    lines.sort_by_key(|line| number(line));
    let mut expected = rig.numbered_lines();
    expected.drain(1_010..1_110);
    assert_eq!(lines, expected);
}

/// A gap became known while an object could not be acknowledged: it's told first after the restart, in an object of its
/// own, and the planned one is still made as planned.
#[tokio::test]
async fn a_gap_before_a_planned_object_takes_nothing_of_it() {
    let (far, mut rig) = (Far::new(), Rig::new());
    far.aws.faults(&[AwsFault::lost("PutObject")]);
    rig.write(1_000);
    let shipper = shipper_that_fails(&far, &rig).await;
    let before = far.objects();
    shipper.record_gap("the engine died");
    shipper.stop(tokio::time::Instant::now()).await;
    rig.write(10);
    far.aws.faults(&[]);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let after = far.objects();
    assert_eq!(after.len(), 3);
    assert!(after.contains(&before[0]), "the same bytes under the same name");
    let told: Vec<_> = after
        .iter()
        .filter(|object| object.key.contains("_told_"))
        .collect();
    assert!(lines_of(told[0])[0].contains("the engine died"));
    let own: Vec<_> = far
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("line "))
        .collect();
    assert_eq!(own, rig.numbered_lines());
}

/// A plan that ends at the very beginning of a file which had no line yet, and was rotated away meanwhile.
#[tokio::test]
async fn a_plan_that_ends_where_a_file_begins_skips_nothing() {
    let (far, mut rig) = (Far::new(), Rig::new());
    far.aws.faults(&[AwsFault::lost("PutObject")]);
    rig.write(100);
    rig.engine.rotate();
    drop(shipper_that_fails(&far, &rig).await);
    rig.write(100);
    rig.engine.rotate();
    rig.write(100);
    far.aws.faults(&[]);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let mut lines = far.lines();
    lines.sort_by_key(|line| number(line));
    assert_eq!(lines, rig.numbered_lines());
}

fn number(line: &str) -> u64 {
    line.strip_prefix("line ").unwrap().parse().unwrap()
}

async fn shipper_that_fails(far: &Far, rig: &Rig) -> crate::logs::Shipper {
    let (before, shipper) = (far.aws.count("PutObject"), far.start(rig).await);
    let drained = shipper.flush(soon()).await;
    assert!(
        matches!(drained, Drained::Behind { sink: "s3", .. }),
        "{drained:?}"
    );
    assert!(far.aws.count("PutObject") > before);
    shipper
}

/// Numbers from a seed, the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn fault(dice: &mut Dice) -> Vec<AwsFault> {
    let times = u32::try_from(1 + dice.below(3)).unwrap();
    match dice.below(6) {
        0 | 1 => vec![AwsFault::lost("PutObject").times(times)],
        2 => vec![AwsFault::cut("PutObject").times(times)],
        3 => vec![AwsFault::slow("PutObject", Duration::from_millis(40)).times(times)],
        4 => vec![AwsFault::error("PutObject", "SlowDown").status(503).times(1)],
        _ => Vec::new(),
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures of the run are what it is for")]
async fn twenty_kills_at_random_moments_and_each_line_once() {
    let seed = std::env::var("S3_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(20_261_121_u64);
    let (far, mut rig, mut dice) = (Far::new(), Rig::new(), Dice(seed));
    // Nothing is rotated away: what is proved here is what happens to lines that are there.
    rig.engine = EngineLog::new(&rig.dir.path().join("kept"), 64);
    let pad = "x".repeat(200);
    let mut lost_then_killed = 0;
    for _ in 0..20 {
        far.aws.faults(&fault(&mut dice));
        let shipper = far.start(&rig).await;
        for _ in 0..1 + dice.below(5) {
            for _ in 0..dice.below(1_000) {
                let number = rig.engine.written + 1;
                rig.engine.write(&format!("{number} {pad}"));
            }
            tokio::time::sleep(Duration::from_millis(dice.below(80))).await;
        }
        if dice.below(3) == 0 {
            rig.engine.rotate();
        }
        tokio::time::sleep(Duration::from_millis(dice.below(150))).await;
        drop(shipper);
        let puts = far.aws.calls().iter().filter(|call| call.status == 200).count();
        lost_then_killed = lost_then_killed.max(puts.saturating_sub(far.objects().len()));
    }
    far.aws.faults(&[]);
    let shipper = far.start(&rig).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let mut seen = BTreeMap::<u64, u32>::new();
    let objects = far.objects();
    for line in objects.iter().flat_map(lines_of) {
        let number = line.split_once(' ').unwrap().0.parse().unwrap();
        *seen.entry(number).or_default() += 1;
    }
    let twice = seen.values().filter(|times| **times > 1).count();
    let missing = (1..=rig.engine.written)
        .filter(|number| !seen.contains_key(number))
        .count();
    println!(
        "seed {seed}: {} lines in {} objects, {} puts, {lost_then_killed} of them over an object that was there, \
         {twice} lines twice, {missing} missing",
        rig.engine.written,
        objects.len(),
        far.aws.count("PutObject"),
    );
    assert_eq!((twice, missing), (0, 0), "seed {seed}");
}
