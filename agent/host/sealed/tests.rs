use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const ME: &str = "i-0123456789abcdef0";
const OTHER: &str = "i-0fedcba9876543210";
const NAME: &str = "credentials";
const WHEN: u64 = 1_700_000_000_123;

/// A state directory, gone with the test.
struct State(PathBuf);

impl State {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("monopod-sealed-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn sealed(&self) -> Sealed {
        Sealed::open(&self.0).unwrap()
    }

    fn key(&self) -> PathBuf {
        self.0.join(KEY)
    }

    fn copy(&self) -> PathBuf {
        self.0.join(DIRECTORY).join(NAME)
    }

    /// With a copy in it.
    fn filled(name: &str) -> (Self, Sealed) {
        let state = Self::new(name);
        let sealed = state.sealed();
        sealed.ensure_copy(NAME, ME, &files(), WHEN).unwrap();
        (state, sealed)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn files() -> Vec<(String, Secret)> {
    [("user.json", "{\"canary\": \"grüß-hunter2\"}"), ("empty", "")]
        .map(|(name, content)| (name.to_owned(), Secret::new(content.to_owned())))
        .to_vec()
}

/// It is the whole of what was put in, or nothing: never something else.
fn is_whole_or_none(outcome: Result<Option<Copy>, SealedError>) -> bool {
    match outcome {
        Ok(Some(copy)) => {
            assert_eq!(copy.files, files());
            assert_eq!(copy.fetched_at_millis, WHEN);
            true
        }
        Ok(None) | Err(_) => false,
    }
}

#[test]
fn what_was_put_in_comes_out_after_a_restart() {
    let (state, sealed) = State::filled("round");
    assert!(is_whole_or_none(sealed.copy(NAME, ME)));
    assert!(is_whole_or_none(state.sealed().copy(NAME, ME)));
    assert_eq!(sealed.copy("secrets", ME).unwrap(), None);
    sealed.ensure_copy("secrets", ME, &[], 0).unwrap();
    let empty = Copy {
        files: Vec::new(),
        fetched_at_millis: 0,
    };
    assert_eq!(sealed.copy("secrets", ME).unwrap(), Some(empty));
}

#[test]
fn every_write_has_a_nonce_of_its_own_and_the_same_key() {
    let (state, sealed) = State::filled("nonce");
    let (key, one) = (fs::read(state.key()).unwrap(), fs::read(state.copy()).unwrap());
    sealed.ensure_copy(NAME, ME, &files(), WHEN).unwrap();
    let other = fs::read(state.copy()).unwrap();
    assert_eq!(key, fs::read(state.key()).unwrap());
    assert_eq!(one.len(), other.len());
    let front = 17 + 1 + ME.len();
    assert_eq!(one[..front], other[..front]);
    assert_ne!(one[front..front + 12], other[front..front + 12]);
    assert_ne!(one[front + 12..], other[front + 12..]);
}

#[test]
fn a_length_is_hidden() {
    let (state, sealed) = State::filled("length");
    let one = fs::metadata(state.copy()).unwrap().len();
    let short = vec![("user.json".to_owned(), Secret::new("x".to_owned()))];
    sealed.ensure_copy(NAME, ME, &short, WHEN).unwrap();
    assert_eq!(one, fs::metadata(state.copy()).unwrap().len());
}

#[test]
fn a_change_of_any_byte_is_noticed() {
    let (state, sealed) = State::filled("tamper");
    for path in [state.copy(), state.key()] {
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for bit in [0x01, 0x80] {
                let mut changed = whole.clone();
                changed[at] ^= bit;
                fs::write(&path, &changed).unwrap();
                assert!(!is_whole_or_none(sealed.copy(NAME, ME)), "byte {at} of {path:?}");
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(is_whole_or_none(sealed.copy(NAME, ME)));
}

#[test]
fn a_torn_or_longer_file_is_noticed() {
    let (state, sealed) = State::filled("torn");
    let whole = fs::read(state.copy()).unwrap();
    for length in 0..whole.len() {
        fs::write(state.copy(), &whole[..length]).unwrap();
        assert!(!is_whole_or_none(sealed.copy(NAME, ME)), "{length} bytes");
    }
    fs::write(state.copy(), [whole.as_slice(), b"\0"].concat()).unwrap();
    let error = sealed.copy(NAME, ME).unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    assert_eq!(
        error.to_string(),
        format!(
            "the encrypted copy {} is damaged and is not used; the next one replaces it",
            state.copy().display()
        )
    );
    sealed.ensure_copy(NAME, ME, &files(), WHEN).unwrap();
    assert!(is_whole_or_none(sealed.copy(NAME, ME)));
}

#[test]
fn a_copy_under_another_name_is_no_copy() {
    let (state, sealed) = State::filled("swap");
    fs::copy(state.copy(), state.copy().with_file_name("secrets")).unwrap();
    let error = sealed.copy("secrets", ME).unwrap_err();
    assert!(matches!(error, SealedError::Damaged { .. }), "{error}");
}

#[test]
fn a_machine_made_from_this_disk_has_no_copy_and_gets_a_key_of_its_own() {
    let (state, sealed) = State::filled("image");
    sealed.ensure_copy("secrets", ME, &files(), WHEN).unwrap();
    let (key, copy) = (fs::read(state.key()).unwrap(), fs::read(state.copy()).unwrap());
    assert_eq!(sealed.copy(NAME, OTHER).unwrap(), None);
    // With the owner's name written over, the cipher is what refuses.
    let front = 17 + 1;
    let forged = [&copy[..front], OTHER.as_bytes(), &copy[front + ME.len()..]].concat();
    let forged_key = [&key[..key.len() - ME.len()], OTHER.as_bytes()].concat();
    fs::write(state.copy(), forged).unwrap();
    fs::write(state.key(), forged_key).unwrap();
    let error = sealed.copy(NAME, OTHER).unwrap_err();
    assert!(matches!(error, SealedError::Damaged { .. }), "{error}");
    fs::write(state.key(), &key).unwrap();

    sealed.ensure_copy(NAME, OTHER, &files(), WHEN).unwrap();
    assert!(is_whole_or_none(sealed.copy(NAME, OTHER)));
    assert_eq!(sealed.copy("secrets", OTHER).unwrap(), None);
    let left = fs::read_dir(state.0.join(DIRECTORY)).unwrap().count();
    assert_eq!(left, 1, "the other's copies are forgotten");
    assert_eq!(sealed.copy(NAME, ME).unwrap(), None);
    let renewed = fs::read(state.key()).unwrap();
    assert!(
        !renewed.windows(32).any(|bytes| bytes == &key[19..51]),
        "the key is another"
    );
}

#[test]
fn a_kill_before_the_rename_leaves_the_old_copy() {
    let (state, sealed) = State::filled("kill");
    let unfinished = state.copy().with_extension("new");
    fs::write(&unfinished, b"half of").unwrap();
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(is_whole_or_none(sealed.copy(NAME, ME)));
    sealed.ensure_copy(NAME, ME, &files(), WHEN).unwrap();
    assert!(!unfinished.exists());
    assert!(is_whole_or_none(sealed.copy(NAME, ME)));
    assert_eq!(
        fs::metadata(state.copy()).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_key_that_is_none_is_told_and_replaced() {
    let (state, sealed) = State::filled("key");
    let key = fs::read(state.key()).unwrap();
    for damaged in [&b""[..], b"short", &key[..50], &[0xff; 70]] {
        fs::write(state.key(), damaged).unwrap();
        let error = sealed.copy(NAME, ME).unwrap_err();
        assert!(error.to_string().contains("is not a key of ours"), "{error}");
        assert!(error.to_string().contains(KEY), "{error}");
    }
    fs::remove_file(state.key()).unwrap();
    let error = sealed.copy(NAME, ME).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    fs::write(state.key(), b"short").unwrap();
    sealed.ensure_copy(NAME, ME, &files(), WHEN).unwrap();
    assert!(is_whole_or_none(sealed.copy(NAME, ME)));
}

#[test]
fn a_key_that_cannot_be_read_is_not_replaced() {
    let (state, sealed) = State::filled("unreadable");
    let aside = state.key().with_extension("aside");
    fs::rename(state.key(), &aside).unwrap();
    // Root reads everything but a directory.
    fs::create_dir(state.key()).unwrap();
    for error in [
        sealed.copy(NAME, ME).unwrap_err(),
        sealed.ensure_copy(NAME, ME, &files(), WHEN).unwrap_err(),
    ] {
        assert_eq!(error.class(), Class::Transient);
        let said = crate::host::chain(&error);
        assert!(said.contains("cannot read") && said.contains(KEY), "{said}");
    }
    fs::remove_dir(state.key()).unwrap();
    fs::rename(aside, state.key()).unwrap();
    assert!(is_whole_or_none(sealed.copy(NAME, ME)));
}

#[test]
fn what_is_forgotten_is_gone_and_the_key_with_the_last() {
    let (state, sealed) = State::filled("forget");
    sealed.ensure_copy("secrets", ME, &files(), WHEN).unwrap();
    sealed.ensure_forgotten(NAME).unwrap();
    sealed.ensure_forgotten(NAME).unwrap();
    assert_eq!(sealed.copy(NAME, ME).unwrap(), None);
    assert!(is_whole_or_none(sealed.copy("secrets", ME)));
    sealed.ensure_forgotten("secrets").unwrap();
    assert!(!state.key().exists());
    assert_eq!(fs::read_dir(state.0.join(DIRECTORY)).unwrap().count(), 0);
}

#[test]
fn it_is_for_its_owner_alone_and_nothing_is_in_clear() {
    let (state, _sealed) = State::filled("clear");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.key()), 0o600);
    assert_eq!(mode(&state.copy()), 0o600);
    assert_eq!(mode(&state.0.join(DIRECTORY)), 0o700);
    for path in [state.key(), state.copy()] {
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for (name, content) in files() {
            let content = content.expose();
            for canary in [
                content.to_owned(),
                STANDARD.encode(content),
                name,
                "hunter2".to_owned(),
            ] {
                assert!(
                    canary.is_empty() || !text.contains(&canary),
                    "{canary} in {path:?}"
                );
            }
        }
    }
}

#[test]
fn a_name_is_no_path() {
    let (_state, sealed) = State::filled("name");
    for name in ["", "../seal.key", "a/b", "a.new"] {
        let error = sealed.ensure_copy(name, ME, &files(), WHEN).unwrap_err();
        assert!(matches!(error, SealedError::Name { .. }), "{error}");
    }
}
