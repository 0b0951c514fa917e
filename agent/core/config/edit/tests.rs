//! Values replaced in place: forms, refusals, and random texts.

use proptest::prelude::*;

use super::*;

const NEW: &str = "aws:kms:AQICAHhFeGFtcGxl?context.app=my-app";

const TEXT: &str = "#taupage-ami-config
# ours
application_id: my-app   # the name
environment:
  PLAIN: hunter2 hunter2  # rotate in May
  'SINGLE': 'it''s'
  DOUBLE:   \"a\\tb\"
  PIN: 0755
  KEY: |  # from the vault
    -----BEGIN
      indented

    -----END

  # behind the block
  FOLDED: >-
    one
    two
  LONG: first
    second
  NOTHING:
  NULL: null
  DONE: aws:kms:AQICAHhFeGFtcGxl
  SHARED: &shared secret
  AGAIN: *shared
  TAGGED: !!str 12
  DATE: 2001-99-99
dockercfg: {\"https://registry.example.org\": {auth: dXNlcjpwYXNz, email: x}}
mounts: &mounts
  /data: {partition: xvdf}
more: *mounts
list: [a, b]
a.b: 1
a: {b: 2}
";

fn change(text: &str, key: &str) -> Result<String, EditError> {
    let editable = Editable::read(text.as_bytes())?;
    let target = editable.find_or_place(key)?;
    editable.replaced(&[(target, NEW.to_owned())])
}

fn clear(key: &str) -> Standing {
    let standing = Editable::read(TEXT.as_bytes())
        .unwrap()
        .find(key)
        .unwrap()
        .standing;
    assert!(!format!("{standing:?}").contains("hunter2"));
    standing
}

#[test]
fn only_the_bytes_of_the_value_change() {
    for (key, old, new) in [
        ("application_id", "my-app   #", "\"NEW\"   #"),
        ("environment.PLAIN", "hunter2 hunter2  #", "\"NEW\"  #"),
        ("environment.SINGLE", "'it''s'", "'NEW'"),
        ("environment.DOUBLE", "\"a\\tb\"", "\"NEW\""),
        ("environment.PIN", "0755", "\"NEW\""),
        (
            "environment.KEY",
            "|  # from the vault\n    -----BEGIN\n      indented\n\n    -----END\n",
            "\"NEW\"  # from the vault\n",
        ),
        ("environment.FOLDED", ">-\n    one\n    two\n", "\"NEW\"\n"),
        ("environment.LONG", "first\n    second", "\"NEW\""),
        ("environment.NOTHING", "NOTHING:", "NOTHING: \"NEW\""),
        ("environment.NULL", "null", "\"NEW\""),
        ("environment.DONE", "aws:kms:AQICAHhFeGFtcGxl", "\"NEW\""),
        (
            "dockercfg.https://registry.example.org.auth",
            "dXNlcjpwYXNz",
            "\"NEW\"",
        ),
        ("environment.OTHER", "  PLAIN:", "  OTHER: \"NEW\"\n  PLAIN:"),
        ("environment.a b", "  PLAIN:", "  \"a b\": \"NEW\"\n  PLAIN:"),
        ("environment.yes", "  PLAIN:", "  \"yes\": \"NEW\"\n  PLAIN:"),
        (
            "dockercfg.https://registry.example.org.password",
            "{auth:",
            "{password: \"NEW\", auth:",
        ),
    ] {
        let wanted = TEXT.replacen(old, &new.replace("NEW", NEW), 1);
        assert_eq!(change(TEXT, key).as_deref(), Ok(wanted.as_str()), "{key}");
        let windows = TEXT.replace('\n', "\r\n");
        assert_eq!(change(&windows, key), Ok(wanted.replace('\n', "\r\n")), "{key}");
    }
}

#[test]
fn the_file_s_context_is_read() {
    let of = |text: &str| Editable::read(text.as_bytes()).unwrap().encryption_context();
    assert_eq!(of(TEXT), Context::new());
    let two = of("encryption_context: {app: 'my app', stage: 1.0}\n");
    let wanted = context(["app=my app", "stage=1.0"].into_iter()).unwrap();
    assert_eq!(two, wanted);
}

/// Whoever counts the indentation alone would leave a line of the old value behind.
#[test]
fn what_would_not_read_as_before_is_refused() {
    let text = "e:\n  A: |2\n       first\n    second\n  B: x\n";
    assert_eq!(change(text, "e.A"), Err(EditError::WouldChangeMore));
}

#[test]
fn a_key_that_takes_no_reference_is_found_before() {
    let text = "#taupage-ami-config\napplication_id: app\napplication_version: '1'\nsource: r.example.org/a:1\nhostname: web\n\
                environment: {A: x}\nhealth_check_path: wrong\n";
    let can = |key: &str| {
        let editable = Editable::read(text.as_bytes()).unwrap();
        let target = editable.find(key).unwrap();
        editable.can_replace(&[target])
    };
    // What was wrong before is no concern here.
    assert_eq!(can("environment.A"), Ok(()));
    assert!(matches!(can("hostname"), Err(EditError::NoSecretHere { .. })));
    assert!(matches!(
        can("application_id"),
        Err(EditError::NoSecretHere { .. })
    ));
}

#[test]
fn several_change_at_once() {
    let editable = Editable::read(TEXT.as_bytes()).unwrap();
    let changes: Vec<(Target, String)> = ["environment.SINGLE", "environment.PLAIN"]
        .into_iter()
        .map(|key| (editable.find(key).unwrap(), NEW.to_owned()))
        .collect();
    let new = editable.replaced(&changes).unwrap();
    let wanted = TEXT
        .replace("hunter2 hunter2", &format!("\"{NEW}\""))
        .replace("'it''s'", &format!("'{NEW}'"));
    assert_eq!(new, wanted);
}

#[test]
fn a_value_is_what_the_container_gets() {
    let secret = |text: &str, is_as_written| Standing::Clear {
        value: Secret::new(text.to_owned()),
        is_as_written,
    };
    assert_eq!(clear("environment.PLAIN"), secret("hunter2 hunter2", true));
    assert_eq!(clear("environment.SINGLE"), secret("it's", true));
    assert_eq!(clear("environment.PIN"), secret("493", false));
    assert_eq!(
        clear("environment.KEY"),
        secret("-----BEGIN\n  indented\n\n-----END\n", true)
    );
    assert_eq!(clear("environment.NOTHING"), Standing::Empty);
    assert_eq!(clear("environment.NULL"), Standing::Empty);
    assert_eq!(clear("environment.DONE"), Standing::Reference);
}

#[test]
fn what_cannot_be_changed_is_refused() {
    let of = |key: &str| change(TEXT, key).unwrap_err();
    let key = |key: &str| key.to_owned();
    for shared in ["environment.SHARED", "environment.AGAIN"] {
        assert_eq!(of(shared), EditError::Shared { key: key(shared) });
    }
    for shared in ["mounts./data.partition", "mounts./new"] {
        assert_eq!(of(shared), EditError::Shared { key: key(shared) });
    }
    assert_eq!(
        of("environment.TAGGED"),
        EditError::Tagged {
            key: key("environment.TAGGED")
        }
    );
    assert_eq!(
        of("environment.DATE"),
        EditError::NoValue {
            key: key("environment.DATE")
        }
    );
    assert_eq!(of("a.b"), EditError::Ambiguous { key: key("a.b") });
    assert_eq!(of("list").to_string(), "`list` is a list; name a single value");
    assert_eq!(
        of("dockercfg.https://registry.example.org").to_string(),
        "`dockercfg.https://registry.example.org` is a map with the keys auth, email; name a single value"
    );
    let twice = "environment:\n  A: one\n  A: two\n";
    assert!(matches!(
        change(twice, "environment.A"),
        Err(EditError::Ambiguous { .. })
    ));
    let question = "e:\n  ? A\n  : one\n  B:\n";
    assert!(change(question, "e.A").is_ok());
    assert!(matches!(
        change("e: {a, b}\n", "e.a"),
        Err(EditError::Form { .. })
    ));
    assert!(matches!(change("- a\n", "a"), Err(EditError::NotAMap)));
    assert!(matches!(change("", "a"), Err(EditError::NotAMap)));
    assert_eq!(
        Editable::read(&[0x1f, 0x8b, 0xff]).map(drop).unwrap_err(),
        EditError::NotText
    );
    let broken = change("a: 1\nb: \"hunter2\n", "a").unwrap_err().to_string();
    assert!(
        broken.starts_with("line ") && !broken.contains("hunter2"),
        "{broken}"
    );
}

#[test]
fn a_key_that_is_not_there_has_a_neighbour() {
    let hint = |key: &str| {
        let editable = Editable::read(TEXT.as_bytes()).unwrap();
        editable.find(key).map(drop).unwrap_err().to_string()
    };
    assert_eq!(
        hint("enviroment.PLAIN"),
        "there is no key `enviroment.PLAIN`; did you mean `environment.PLAIN`?"
    );
    assert!(hint("DOUBLE").ends_with("did you mean `environment.DOUBLE`?"));
    assert!(hint("nonsense").ends_with("write it as in `environment.DB_PASSWORD`"));
    // A slip at the top, or a map that is not there, makes no new key.
    for key in [
        "aplication_id",
        "enviroment.X",
        "secrets.db",
        "environment.",
        "application_id.x",
    ] {
        assert!(
            matches!(change(TEXT, key), Err(EditError::NotThere { .. })),
            "{key}"
        );
    }
}

#[test]
fn a_merge_key_is_not_followed() {
    let text = "base: &base {A: secret}\nenvironment:\n  <<: *base\n  B: x\n";
    assert!(matches!(change(text, "base.A"), Err(EditError::Shared { .. })));
    let said = Editable::read(text.as_bytes())
        .unwrap()
        .find("environment.A")
        .map(drop)
        .unwrap_err();
    assert!(said.to_string().contains("did you mean") || said.to_string().contains("merge key"));
    assert!(change(text, "environment.B").is_ok());
}

/// A value in one of the ways it can be written, with the indentation of its key, and whether a comment can follow.
fn value() -> impl Strategy<Value = fn(&str, usize) -> String> {
    let forms: Vec<fn(&str, usize) -> String> = vec![
        |word, _| word.to_owned(),
        |word, _| format!("{word} {word}  # {word}"),
        |word, _| format!("'{word} # ''no'''"),
        |word, _| format!("\"{word}\\n\\u00fc: \\\"\" # ü"),
        |word, indent| format!("|\n{0:indent$}  {word}\n{0:indent$}    more\n", ""),
        |word, indent| format!(">-  # why\n\n{0:indent$}   {word}\n\n{0:indent$}   more", ""),
        |word, indent| format!("|+\n{0:indent$} {word}\n\n\n{0:indent$}# behind", ""),
        |word, indent| format!("{word}\n{0:indent$}   over\n{0:indent$}  lines", ""),
        |word, indent| format!("\"{word}\n{0:indent$}   over \\\n{0:indent$}  lines\"", ""),
        |word, _| format!("{{{word}: x, y: [1, 'a']}}"),
        |word, indent| format!("\n{0:indent$}- {word}\n{0:indent$}- b: c", ""),
        |_, _| String::new(),
        |_, _| "~".to_owned(),
        |_, _| "12".to_owned(),
    ];
    proptest::sample::select(forms)
}

fn map() -> impl Strategy<Value = (String, Vec<String>)> {
    let entry = ("[a-z]{1,3}", "[a-z]{1,6}", value(), any::<[bool; 3]>());
    (
        prop::collection::vec(entry, 1..8),
        prop::collection::vec("[A-Z]{1,3}", 1..3),
        any::<bool>(),
    )
        .prop_map(|(entries, parents, windows)| {
            let (mut text, mut keys) = ("#taupage-ami-config\n".to_owned(), Vec::new());
            for (number, parent) in parents.iter().enumerate() {
                text.push_str(&format!("{parent}{number}:   # a map\n"));
                for (at, (key, word, value, [comment, blank, quoted])) in entries.iter().enumerate() {
                    let key = format!("{key}{at}");
                    keys.push(format!("{parent}{number}.{key}"));
                    if *comment {
                        text.push_str("# left\n      # right\n");
                    }
                    let quote = if *quoted { "\"" } else { "" };
                    text.push_str(&format!("  {quote}{key}{quote}: {}\n", value(word, 2)));
                    if *blank {
                        text.push('\n');
                    }
                }
            }
            (if windows { text.replace('\n', "\r\n") } else { text }, keys)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_replaced_value_is_the_new_one_and_the_rest_stays((text, keys) in map(), pick in any::<prop::sample::Index>()) {
        let editable = Editable::read(text.as_bytes()).unwrap();
        let key = pick.get(&keys);
        match editable.find(key) {
            Err(EditError::NotAValue { .. }) => {}
            Err(other) => prop_assert!(false, "{other}\n{text}"),
            Ok(target) => {
                let range = target.edit.range.clone();
                let new = editable.replaced(&[(target, NEW.to_owned())]);
                prop_assert!(new.is_ok(), "{key}: {new:?}\n{text}");
                let new = new.unwrap();
                let (head, tail) = (text.get(..range.start).unwrap(), text.get(range.end..).unwrap());
                prop_assert!(new.starts_with(head) && new.ends_with(tail), "{new}");
                let again = Editable::read(new.as_bytes()).unwrap().find(key).unwrap();
                prop_assert_eq!(again.standing, Standing::Reference);
                let others: Vec<&str> = text.lines().filter(|line| line.contains('#')).collect();
                for comment in ["# left", "# a map", "# behind"] {
                    let count = |text: &str| text.matches(comment).count();
                    prop_assert_eq!(count(&new), count(&text), "{:?}", others);
                }
            }
        }
    }

    #[test]
    fn a_new_key_is_put_into_its_map((text, keys) in map(), pick in any::<prop::sample::Index>()) {
        let editable = Editable::read(text.as_bytes()).unwrap();
        let (parent, _) = pick.get(&keys).split_once('.').unwrap();
        let key = format!("{parent}.NEW");
        let target = editable.find_or_place(&key).unwrap();
        prop_assert_eq!(&target.standing, &Standing::Absent);
        let new = editable.replaced(&[(target, NEW.to_owned())]);
        prop_assert!(new.is_ok(), "{new:?}\n{text}");
        let again = Editable::read(new.unwrap().as_bytes()).unwrap().find(&key).unwrap().standing;
        prop_assert_eq!(again, Standing::Reference);
    }
}
