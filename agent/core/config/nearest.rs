//! What was meant: the word closest to one that nobody knows.
//!
//! Design: four questions, the surest first. Is it another tool's name for the same thing (`env`, `cap_add`)? Are
//! these the same words in another order? Which known word is the fewest slips of a hand away: letters in the wrong
//! order, a neighbour on the keyboard and a letter typed twice are cheap, since that is what hands do. At last: is it
//! the beginning of exactly one word?
//!
//! Case, blanks, dots and dashes are forgiven throughout. It deliberately gives one answer or none: a list of guesses
//! helps nobody, and a wrong guess for a key of somebody's own tools is noise.

/// Names that docker, compose, Kubernetes and ECS have for what is called otherwise here.
const FOREIGN: &[(&str, &str)] = &[
    ("image", "source"),
    ("docker_image", "source"),
    ("container_image", "source"),
    ("app_id", "application_id"),
    ("app_name", "application_id"),
    ("application_name", "application_id"),
    ("app_version", "application_version"),
    ("env", "environment"),
    ("env_vars", "environment"),
    ("environment_variables", "environment"),
    ("cap_add", "capabilities_add"),
    ("cap_drop", "capabilities_drop"),
    ("mem", "memory"),
    ("mem_limit", "memory"),
    ("memory_limit", "memory"),
    ("cpu_limit", "cpus"),
    ("cpu_count", "cpus"),
    ("net", "networking"),
    ("network", "networking"),
    ("network_mode", "networking"),
    ("publish", "ports"),
    ("port_mappings", "ports"),
    ("restart_policy", "restart"),
    ("readonly_rootfs", "read_only"),
    ("read_only_root_filesystem", "read_only"),
    ("shm", "shm_size"),
    ("pids", "pids_limit"),
    ("cmd", "command"),
    ("arguments", "args"),
    ("add_host", "extra_hosts"),
    ("stop_grace_period", "stop_timeout"),
    ("fs", "filesystem"),
    ("fs_type", "filesystem"),
    ("fstype", "filesystem"),
    ("device", "partition"),
    ("stack_name", "stack"),
    ("load_balancer", "loadbalancer_name"),
    ("load_balancer_names", "loadbalancer_name"),
    ("target_group_arns", "target_groups"),
    ("bucket", "s3_bucket"),
];

/// What a slip costs: a plain one ten, so that the likelier kinds are fractions of it.
const EDIT: u32 = 10;
const NEIGHBOUR: u32 = 7;
const PLURAL: u32 = 7;
const SWAP: u32 = 6;
const TWICE: u32 = 6;
const JOINT: u32 = 3;

/// No known word is as long; what is longer was no slip.
const LONGEST: usize = 64;
/// A shorter beginning says too little.
const BEGINNING: usize = 5;

/// The candidate closest to `name`, if one is close enough to be meant: a third of the letters may differ.
pub(super) fn nearest_of<'k>(name: &str, candidates: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.chars().nth(LONGEST).is_some() {
        return None;
    }
    let name = folded(name);
    let known: Vec<(&str, String)> = candidates.map(|known| (known, folded(known))).collect();
    foreign(&name, &known)
        .or_else(|| reordered(&name, &known))
        .or_else(|| closest(&name, &known))
        .or_else(|| begun(&name, &known))
}

/// Lower case, and one kind of joint between words.
fn folded(name: &str) -> String {
    name.trim()
        .chars()
        .map(|c| match c {
            '-' | '.' | ' ' | '\t' => '_',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

fn foreign<'k>(name: &str, known: &[(&'k str, String)]) -> Option<&'k str> {
    let (_, meant) = FOREIGN.iter().find(|(foreign, _)| *foreign == name)?;
    known
        .iter()
        .find(|(_, folded)| folded == meant)
        .map(|(known, _)| *known)
}

fn reordered<'k>(name: &str, known: &[(&'k str, String)]) -> Option<&'k str> {
    let words = |text: &str| {
        let mut words: Vec<String> = text.split('_').map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    let wanted = words(name);
    known
        .iter()
        .find(|(_, folded)| folded.len() == name.len() && words(folded) == wanted)
        .map(|(known, _)| *known)
}

fn closest<'k>(name: &str, known: &[(&'k str, String)]) -> Option<&'k str> {
    let name: Vec<char> = name.chars().collect();
    let edits = u32::try_from(name.len() / 3).unwrap_or(u32::MAX).clamp(1, 4);
    known
        .iter()
        .filter_map(|(known, folded)| {
            let folded: Vec<char> = folded.chars().collect();
            Some((cost(&name, &folded, edits * EDIT)?, *known))
        })
        .min()
        .map(|(_, known)| known)
}

fn begun<'k>(name: &str, known: &[(&'k str, String)]) -> Option<&'k str> {
    if name.len() < BEGINNING {
        return None;
    }
    let mut longer = known.iter().filter(|(_, folded)| folded.starts_with(name));
    let (only, _) = longer.next()?;
    longer.next().is_none().then_some(*only)
}

/// What it costs to get from what was typed to what is known; `None` beyond the limit.
///
/// Levenshtein's table row by row, with two letters in the wrong order as one slip (optimal string alignment).
fn cost(typed: &[char], known: &[char], limit: u32) -> Option<u32> {
    if least(typed, known) > limit {
        return None;
    }
    let mut before: Vec<u32> = Vec::new();
    let mut above: Vec<u32> = Vec::with_capacity(known.len() + 1);
    above.push(0);
    for (j, left) in known.iter().enumerate() {
        above.push(at(&above, j).saturating_add(gap(known, j, *left)));
    }
    for (i, letter) in typed.iter().enumerate() {
        let extra = gap(typed, i, *letter);
        let mut row = Vec::with_capacity(known.len() + 1);
        row.push(at(&above, 0).saturating_add(extra));
        for (j, wanted) in known.iter().enumerate() {
            let mut best = at(&above, j).saturating_add(mistaken(*letter, *wanted));
            best = best.min(at(&above, j + 1).saturating_add(extra));
            best = best.min(at(&row, j).saturating_add(gap(known, j, *wanted)));
            if i > 0 && j > 0 && typed.get(i - 1) == Some(wanted) && known.get(j - 1) == Some(letter) {
                best = best.min(at(&before, j - 1).saturating_add(SWAP));
            }
            row.push(best);
        }
        if row.iter().chain(&above).all(|cost| *cost > limit) {
            return None;
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().filter(|cost| *cost <= limit)
}

/// What the difference in length alone costs: most known words are out of reach, which is cheap to see.
fn least(typed: &[char], known: &[char]) -> u32 {
    let (shorter, longer) = if typed.len() < known.len() {
        (typed, known)
    } else {
        (known, typed)
    };
    let gaps = longer.len() - shorter.len();
    let joints = longer.iter().filter(|letter| **letter == '_').count().min(gaps);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    count(joints)
        .saturating_mul(JOINT)
        .saturating_add(count(gaps - joints).saturating_mul(TWICE))
}

fn at(row: &[u32], index: usize) -> u32 {
    row.get(index).copied().unwrap_or(u32::MAX)
}

/// A letter that only one of the two words has.
fn gap(word: &[char], index: usize, letter: char) -> u32 {
    let next = word.get(index + 1);
    if letter == '_' {
        JOINT
    } else if index > 0 && word.get(index - 1) == Some(&letter) {
        TWICE
    } else if letter == 's' && next.is_none_or(|next| *next == '_') {
        PLURAL
    } else {
        EDIT
    }
}

/// One letter in another's place.
fn mistaken(typed: char, wanted: char) -> u32 {
    if typed == wanted {
        0
    } else if are_neighbours(typed, wanted) {
        NEIGHBOUR
    } else {
        EDIT
    }
}

/// On a keyboard, where each row is shifted by less than a key to the right of the row above.
fn are_neighbours(one: char, other: char) -> bool {
    const ROWS: [&str; 4] = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"];
    let key = |letter: char| {
        ROWS.iter()
            .enumerate()
            .find_map(|(row, keys)| Some((row, keys.find(letter)?)))
    };
    let (Some(one), Some(other)) = (key(one), key(other)) else {
        return false;
    };
    let (upper, lower) = if one.0 <= other.0 {
        (one, other)
    } else {
        (other, one)
    };
    match lower.0 - upper.0 {
        0 => upper.1.abs_diff(lower.1) == 1,
        1 => lower.1 == upper.1 || lower.1 + 1 == upper.1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 12] = [
        "application_id",
        "capabilities_add",
        "environment",
        "health_check_path",
        "health_check_port",
        "hostname",
        "networking",
        "notify_cfn",
        "ports",
        "read_only",
        "source",
        "volumes",
    ];

    fn nearest(name: &str) -> Option<&'static str> {
        nearest_of(name, KEYS.into_iter())
    }

    #[test]
    fn slips_of_a_hand() {
        for (typed, key) in [
            ("soruce", "source"),
            ("sourcee", "source"),
            ("SOURCE", "source"),
            ("port", "ports"),
            ("volume", "volumes"),
            ("readOnly", "read_only"),
            ("Health Check-Path", "health_check_path"),
            ("heath_check_patg", "health_check_path"),
            ("health_check_pirt", "health_check_port"),
            ("notify_cf", "notify_cfn"),
            ("path_health_check", "health_check_path"),
            ("notify", "notify_cfn"),
        ] {
            assert_eq!(nearest(typed), Some(key), "{typed}");
        }
    }

    #[test]
    fn names_of_other_tools_count_where_they_have_a_meaning() {
        for (foreign, key) in [
            ("image", "source"),
            ("env", "environment"),
            ("cap_add", "capabilities_add"),
            ("network_mode", "networking"),
        ] {
            assert_eq!(nearest(foreign), Some(key), "{foreign}");
        }
        assert_eq!(nearest_of("image", ["auth", "email"].into_iter()), None);
        assert_eq!(nearest("mem_limit"), None);
    }

    #[test]
    fn a_private_key_finds_none() {
        for private in ["", "_", "x", "foo", "health", "my_team_dashboard", "stack", "ü"] {
            assert_eq!(nearest(private), None, "{private}");
        }
        assert_eq!(nearest(&"source".repeat(2000)), None);
    }

    #[test]
    fn the_likelier_slip_wins() {
        // `o` lies beside `p`, and nothing near `s` does.
        assert_eq!(nearest_of("toc", ["tsc", "tpc"].into_iter()), Some("tpc"));
        assert_eq!(nearest_of("upd", ["uds", "udp"].into_iter()), Some("udp"));
        assert_eq!(
            nearest_of("SETUIID", ["SETUI2D", "SETUID"].into_iter()),
            Some("SETUID")
        );
    }
}
