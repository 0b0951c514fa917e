use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::host::testing::temporary_directory;

fn logs(folder: &'static str) -> CustomLogs {
    CustomLogs {
        folder,
        size: 1000,
        interval: "yearly".to_owned(),
        keep: 2,
    }
}

#[test]
fn the_file_comes_and_goes_with_its_keys() {
    let root = temporary_directory("logrotate");
    let path = root.join(PATH);
    assert!(
        ensure_rotation(&root, Some(&logs("/var/log-custom"))).is_err(),
        "no logrotate here"
    );
    fs::create_dir_all(root.join("etc/logrotate.d")).unwrap();
    ensure_rotation(&root, None).unwrap();
    ensure_rotation(&root, Some(&logs("/var/log-custom"))).unwrap();
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .contains("/var/log-custom/*.log {")
    );
    ensure_rotation(&root, None).unwrap();
    assert!(!path.exists());
    fs::remove_dir_all(root).unwrap();
}

/// With the program itself, where it is: a file that is written on is put aside with its content, and its writer's
/// descriptor goes on in the same file.
#[test]
fn logrotate_does_what_it_is_told() {
    let program = std::env::var_os("LOGROTATE").unwrap_or_else(|| "/usr/sbin/logrotate".into());
    if !Path::new(&program).exists() {
        return;
    }
    let root = temporary_directory("logrotate-real");
    let folder = root.join("logs");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gc.log");
    let mut writer = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .unwrap();
    let line = "a line of the application\n";
    std::io::Write::write_all(&mut writer, line.repeat(100).as_bytes()).unwrap();
    let folder: &'static str = Box::leak(folder.to_str().unwrap().to_owned().into_boxed_str());
    let config = root.join("config");
    fs::write(&config, logs(folder).file()).unwrap();
    let state = root.join("state");
    let ended = Command::new(program)
        .args([Path::new("--state"), &state, &config])
        .output()
        .unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    std::io::Write::write_all(&mut writer, b"the next\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "the next\n");
    assert_eq!(
        fs::read_to_string(format!("{folder}/gc.log.1")).unwrap().len(),
        100 * line.len()
    );
    fs::remove_dir_all(root).unwrap();
}
