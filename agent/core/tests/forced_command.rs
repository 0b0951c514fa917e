//! Ten thousand lines for the forced command: what is no command is refused, and what is one holds nothing but a name and a host.

use monopod_core::access::{ForcedCommand, LONGEST_COMMAND};
use proptest::prelude::*;

/// What lines are put together from: the grammar's own words, their near-misses, and what a shell would act upon.
const PIECES: [&str; 46] = [
    "grant-ssh-access",
    "revoke-ssh-access",
    "grant-ssh-acces",
    "GRANT-SSH-ACCESS",
    "alice",
    "alice",
    "a",
    "root",
    "--remote-host",
    "--remote-host=",
    "--remote-host=10.0.0.1",
    "--remote-host=fd00::1",
    "10.0.0.1",
    "db.internal",
    "--keep-local",
    "--keep-loca",
    "--help",
    "--",
    "-",
    "-oProxyCommand=id",
    ";",
    "&&",
    "|",
    "&",
    "$(id)",
    "`id`",
    ">/etc/passwd",
    "$IFS",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\u{1b}[2J",
    "\u{7f}",
    "'",
    "\"",
    "\\",
    "*",
    "~",
    "../../etc/passwd",
    "/bin/sh -c id",
    "%n%s",
    "\u{e9}",
    "\u{202e}",
    "=",
    "#",
];

fn lines() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(&PIECES[..]);
    let glue = prop::sample::select(vec![" ", " ", " ", "", "  ", ";"]);
    let words = prop::collection::vec((piece, glue), 0..7).prop_map(|all| {
        let text: String = all.into_iter().flat_map(|(piece, glue)| [piece, glue]).collect();
        text.into_bytes()
    });
    let good = prop::sample::select(vec![
        "grant-ssh-access alice",
        "revoke-ssh-access alice --keep-local",
        "grant-ssh-access --remote-host= alice",
        "revoke-ssh-access alice --remote-host db.internal --keep-local",
    ]);
    // A good line with bytes in it that do not belong there.
    let near = (
        good,
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    )
        .prop_map(|(good, changes)| {
            let mut line = good.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at.index(line.len());
                if let Some(place) = line.get_mut(at) {
                    *place = byte;
                }
            }
            line
        });
    let anything = prop::collection::vec(any::<u8>(), 0..200);
    let long =
        (0_usize..3000).prop_map(|count| format!("grant-ssh-access {}", "a".repeat(count)).into_bytes());
    prop_oneof![6 => words, 6 => near, 2 => anything, 1 => long]
}

/// The line that a command was read from, written again.
fn words(command: &ForcedCommand) -> Vec<String> {
    let (verb, user, host, keep) = match command {
        ForcedCommand::Grant { user, remote_host } => ("grant-ssh-access", user, remote_host, false),
        ForcedCommand::Revoke {
            user,
            remote_host,
            keep_local,
        } => ("revoke-ssh-access", user, remote_host, *keep_local),
    };
    let mut words = vec![verb.to_owned(), user.to_string()];
    words.extend(host.iter().map(ToString::to_string));
    words.extend(keep.then(|| "--keep-local".to_owned()));
    words.sort();
    words
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_a_command_is_one(line in lines()) {
        let Ok(command) = ForcedCommand::parse(&line) else {
            return Ok(());
        };
        prop_assert!(line.len() <= LONGEST_COMMAND);
        let text = String::from_utf8_lossy(&line).into_owned();
        let harmless = |c: char| c.is_ascii_alphanumeric() || " -_.=:".contains(c);
        prop_assert!(text.chars().all(harmless), "{text:?}");
        // Nothing of the line was left aside, and nothing was made up.
        let mut said: Vec<String> = text
            .split(' ')
            .map(|word| word.strip_prefix("--remote-host=").unwrap_or(word))
            .filter(|word| !word.is_empty() && *word != "--remote-host")
            .map(str::to_owned)
            .collect();
        said.sort();
        prop_assert_eq!(words(&command), said, "{}", text);
    }
}
