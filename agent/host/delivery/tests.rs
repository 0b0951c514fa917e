use std::os::unix::fs::{MetadataExt as _, chown};

use serde_json::json;

use super::layout::FILE_MODE;
use super::*;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("monopod-delivery-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn delivery(&self, spec: &str, files: &[(&str, &str)]) -> Delivery {
        Delivery::new(
            &self.0,
            &SpecHash::new(&json!(spec), "sha256:1"),
            &mounts(files),
            |_| None,
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn mounts(files: &[(&str, &str)]) -> Vec<FileMount> {
    files
        .iter()
        .map(|(path, content)| FileMount {
            path: (*path).to_owned(),
            content: EnvValue::Plain((*content).to_owned()),
        })
        .collect()
}

/// Groups can be given away by root only; the black-box tests run as root in any case.
fn may_change_groups() -> bool {
    let place = Place::new("root");
    chown(&place.0, None, Some(GROUP)).is_ok()
}

#[test]
fn the_order_in_the_file_does_not_matter() {
    let place = Place::new("order");
    let (one, two) = ([("/b", "2"), ("/a", "1")], [("/a", "1"), ("/b", "2")]);
    assert_eq!(place.delivery("s", &one), place.delivery("s", &two));
    let sources = |files: &[(&str, &str)]| -> Vec<(PathBuf, String)> {
        let files = mounts(files);
        place
            .delivery("s", &[])
            .mounts(&files)
            .into_iter()
            .map(|(source, target)| (source, target.to_owned()))
            .collect()
    };
    assert_eq!(sources(&one), sources(&two));
}

#[test]
fn files_are_written_repaired_and_those_of_other_specs_removed() {
    if !may_change_groups() {
        return;
    }
    let place = Place::new("repair");
    let old = place.delivery("old", &[("/x", "old")]);
    old.ensure().unwrap();
    let delivery = place.delivery("new", &[("/a", "one"), ("/b", "two")]);
    delivery.ensure().unwrap();
    assert!(!old.directory().exists());
    let first = delivery.source(0);
    let metadata = fs::metadata(&first).unwrap();
    assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (GROUP, FILE_MODE));
    // Changed, gone, and the leftover of a write that was killed.
    fs::write(&first, "ONE").unwrap();
    fs::remove_file(delivery.source(1)).unwrap();
    fs::write(first.with_extension("new"), "o").unwrap();
    delivery.ensure().unwrap();
    assert_eq!(fs::read_to_string(&first).unwrap(), "one");
    assert_eq!(fs::read_to_string(delivery.source(1)).unwrap(), "two");
    // What is right is left alone: a container may have it mounted.
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let before = inode(&first);
    delivery.ensure().unwrap();
    assert_eq!(inode(&first), before);
    place.delivery("none", &[]).ensure().unwrap();
    assert!(!delivery.directory().exists());
}

#[test]
fn a_stray_file_is_removed_and_nothing_left_over_is_an_error() {
    let place = Place::new("stray");
    let none = place.delivery("none", &[]);
    fs::create_dir_all(place.0.join(FILES).join("old")).unwrap();
    fs::write(place.0.join(FILES).join("stray"), "x").unwrap();
    none.ensure().unwrap();
    assert_eq!(fs::read_dir(place.0.join(FILES)).unwrap().count(), 0);
    fs::remove_dir(place.0.join(FILES)).unwrap();
    // It can't even be listed.
    fs::write(place.0.join(FILES), "x").unwrap();
    none.ensure().unwrap();
}

#[test]
fn what_is_not_known_is_not_removed() {
    let place = Place::new("unknown");
    let text = serde_json::to_string(&place.delivery("s", &[("/a", "one"), ("/b", "two")])).unwrap();
    let unknown: Delivery = serde_json::from_str(&text).unwrap();
    assert!(!unknown.is_known() && place.delivery("s", &[]).is_known());
    fs::create_dir_all(unknown.directory()).unwrap();
    fs::write(unknown.source(1), "two").unwrap();
    unknown.ensure().unwrap();
    assert!(unknown.source(1).exists(), "a container may have it mounted");
}

#[test]
fn the_hint_holds_no_content_and_recalls_it_from_the_files() {
    if !may_change_groups() {
        return;
    }
    let place = Place::new("recall");
    let delivery = place.delivery("s", &[("/a", "canary-content")]);
    let text = serde_json::to_string(&delivery).unwrap();
    assert!(!text.contains("canary") && !format!("{delivery:?}").contains("canary"));
    let mut recalled: Delivery = serde_json::from_str(&text).unwrap();
    assert!(!recalled.recall(), "the files are not there yet");
    delivery.ensure().unwrap();
    assert!(recalled.recall());
    assert_eq!(recalled, delivery);
}

#[test]
fn a_fetched_content_is_known_by_its_path_and_one_that_is_missing_leaves_nothing_half_done() {
    if !may_change_groups() {
        return;
    }
    let place = Place::new("fetched");
    let reference = SecretRef::parse("aws:ssm:/db").unwrap().unwrap();
    let mut files = mounts(&[("/a", "plain-text")]);
    files.push(FileMount {
        path: "/b".to_owned(),
        content: EnvValue::Secret(reference),
    });
    let spec = SpecHash::new(&json!("s"), "sha256:1");
    let delivery = |value: Option<&str>| {
        Delivery::new(&place.0, &spec, &files, |_| {
            value.map(|text| Secret::new(text.to_owned()))
        })
    };
    let known = delivery(Some("canary-content"));
    known.ensure().unwrap();
    let mut unknown = delivery(None);
    assert!(!unknown.is_known());
    unknown.ensure().unwrap();
    assert!(unknown.recall());
    let secrets: Vec<(String, &str)> = unknown
        .secrets()
        .map(|(name, secret)| (name, secret.expose()))
        .collect();
    assert_eq!(secrets, [("files./b".to_owned(), "canary-content")]);
    assert_eq!(unknown, known);
}
