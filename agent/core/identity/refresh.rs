//! When credentials are fetched again, and the name under which a role is assumed.

use std::time::Duration;

/// SDKs ask again when a quarter of an hour is left: what they get then has to be newer than what they have.
const AHEAD: Duration = Duration::from_secs(20 * 60);
/// Machines that started together don't ask together.
const SPREAD: Duration = Duration::from_secs(5 * 60);
/// Below this there is no room for that much.
const LONG: Duration = Duration::from_secs(50 * 60);
/// The metadata service may give the same ones again for a while.
const LEAST: Duration = Duration::from_secs(5);

/// How long to wait with the next fetch, for credentials that are valid for so long.
pub fn wait(left: Duration, chance: f64) -> Duration {
    let chance = chance.clamp(0.0, 1.0);
    if left >= LONG {
        return left.saturating_sub(AHEAD + SPREAD.mul_f64(chance));
    }
    left.mul_f64(0.5 - 0.1 * chance).max(LEAST)
}

/// What CloudTrail calls the container's session: the machine's id, in the characters that STS takes.
pub fn session_name(instance_id: &str) -> String {
    const MOST: usize = 64;
    let is_taken = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let id = instance_id.chars().map(|c| if is_taken(c) { c } else { '-' });
    "monopod-".chars().chain(id).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdks_that_ask_with_a_quarter_of_an_hour_left_get_newer_ones() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        for (left, chance, wanted) in [
            (minutes(360), 0.0, minutes(340)),
            (minutes(60), 0.0, minutes(40)),
            (minutes(60), 1.0, minutes(35)),
            (minutes(60), 7.0, minutes(35)),
            (minutes(50), 0.0, minutes(30)),
            (minutes(15), 0.0, minutes(15) / 2),
            (minutes(15), 1.0, minutes(6)),
            (minutes(1), 0.0, minutes(1) / 2),
            (Duration::from_secs(8), 0.0, LEAST),
            (Duration::ZERO, 0.5, LEAST),
        ] {
            assert_eq!(wait(left, chance), wanted, "{left:?} {chance}");
        }
    }

    #[test]
    fn a_session_has_the_machine_s_name() {
        assert_eq!(session_name("i-0123456789abcdef0"), "monopod-i-0123456789abcdef0");
        assert_eq!(session_name("a b/ü"), "monopod-a-b--");
        assert_eq!(session_name(&"x".repeat(99)).len(), 64);
    }
}
