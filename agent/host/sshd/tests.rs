use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::host::testing::temporary_directory;

/// A machine with sshd's files, and programs that note how they were run.
struct Machine {
    root: PathBuf,
    programs: Programs,
}

impl Machine {
    fn new(name: &str) -> Self {
        let root = temporary_directory(&format!("sshd-{name}"));
        fs::create_dir_all(root.join(DROP_INS)).unwrap();
        let machine = Self {
            programs: Programs {
                sshd: root.join("sshd"),
                systemctl: root.join("systemctl"),
            },
            root,
        };
        machine.configure("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM no\n");
        machine.program("sshd", "cat > $(dirname $0)/sshd.stdin");
        // No socket.
        machine.program("systemctl", "[ \"$1\" != is-active ]");
        machine
    }

    fn configure(&self, text: &str) {
        let own = format!("{}/", self.root.join("etc/ssh").display());
        fs::write(self.root.join(CONFIG), text.replace("/etc/ssh/", &own)).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.root.join(name);
        let text = format!("#!/bin/sh\necho \"$@\" >> $(dirname $0)/{name}.calls\n{script}\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn calls(&self, name: &str) -> Vec<String> {
        let path = self.root.join(format!("{name}.calls"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _gone = fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    fn ensure(&self, ports: &[u16]) -> Result<Vec<String>, SshdError> {
        let plan = MachinePlan {
            ssh_ports: ports.to_vec(),
            ..Default::default()
        };
        ensure_drop_in(&self.root, &plan, &self.programs)
    }

    fn drop_in(&self) -> Option<String> {
        fs::read_to_string(self.root.join(DROP_INS).join(NAME)).ok()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.root);
    }
}

const RELOAD: &str = "try-reload-or-restart ssh.service";

#[test]
fn sshd_is_told_when_something_changed() {
    let machine = Machine::new("changed");
    assert!(machine.ensure(&[]).unwrap().is_empty());
    assert!(machine.calls("systemctl").is_empty() && machine.calls("sshd").is_empty());
    assert!(machine.ensure(&[22, 2222]).unwrap().is_empty());
    assert!(machine.drop_in().unwrap().ends_with("\nPort 22\nPort 2222\n"));
    assert_eq!(machine.calls("sshd"), ["-t -f /dev/stdin"]);
    assert_eq!(
        machine.calls("systemctl"),
        ["is-active --quiet ssh.socket", RELOAD]
    );
    let asked = fs::read_to_string(machine.root.join("sshd.stdin")).unwrap();
    let lines: Vec<&str> = asked.lines().collect();
    assert!(
        lines[0].ends_with("/10-monopod.conf.new"),
        "the first value counts: {asked}"
    );
    assert!(lines[1].ends_with("/etc/ssh/sshd_config"), "{asked}");
    machine.ensure(&[22, 2222]).unwrap();
    assert!(machine.calls("systemctl").is_empty(), "nothing is new");
    machine.ensure(&[]).unwrap();
    assert_eq!(machine.drop_in(), None, "its key is gone");
    assert_eq!(machine.calls("systemctl").last().unwrap(), RELOAD);
}

#[test]
fn what_was_cut_off_is_caught_up_on() {
    let machine = Machine::new("cut");
    machine.program("systemctl", "echo no bus >&2; [ \"$1\" = x ]");
    let error = machine.ensure(&[2222]).unwrap_err();
    assert!(
        matches!(&error, SshdError::NotTold { words, .. } if words == "no bus"),
        "{error}"
    );
    machine.program("systemctl", "[ \"$1\" != is-active ]");
    machine.calls("systemctl");
    machine.ensure(&[2222]).unwrap();
    assert_eq!(machine.calls("systemctl").last().unwrap(), RELOAD);
    machine.ensure(&[2222]).unwrap();
    assert!(machine.calls("systemctl").is_empty());
}

#[test]
fn what_sshd_does_not_take_is_not_put_in_place() {
    let machine = Machine::new("refused");
    machine.program("sshd", "echo 'x line 1: Bad configuration option' >&2; exit 255");
    let error = machine.ensure(&[2222]).unwrap_err();
    assert!(
        error.to_string().ends_with("x line 1: Bad configuration option"),
        "{error}"
    );
    assert_eq!(error.class(), Class::Permanent);
    assert_eq!(machine.drop_in(), None);
    assert_eq!(fs::read_dir(machine.root.join(DROP_INS)).unwrap().count(), 0);
    assert!(machine.calls("systemctl").is_empty());
    // A machine that has just been made.
    machine.program(
        "sshd",
        "echo 'sshd: no hostkeys available -- exiting.' >&2; exit 1",
    );
    machine.ensure(&[2222]).unwrap();
    assert!(machine.drop_in().is_some());
}

#[test]
fn a_configuration_without_drop_ins_is_left_alone() {
    let machine = Machine::new("not-included");
    machine.configure("Port 22\n");
    let error = machine.ensure(&[2222]).unwrap_err();
    assert!(matches!(error, SshdError::NotIncluded { .. }), "{error}");
    fs::remove_file(machine.root.join(CONFIG)).unwrap();
    assert!(matches!(machine.ensure(&[2222]), Err(SshdError::Missing { .. })));
    fs::remove_file(&machine.programs.sshd).unwrap();
    assert!(matches!(machine.ensure(&[2222]), Err(SshdError::Missing { .. })));
    assert_eq!(machine.drop_in(), None);
}

#[test]
fn nobody_is_locked_out_by_a_port_that_is_taken() {
    let machine = Machine::new("taken");
    let other = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let taken = other.local_addr().unwrap().port();
    let error = machine.ensure(&[taken]).unwrap_err();
    assert!(matches!(error, SshdError::PortsTaken), "{error}");
    assert_eq!(machine.drop_in(), None);
    let warnings = machine.ensure(&[22, taken]).unwrap();
    assert!(warnings[0].contains(&taken.to_string()), "{warnings:?}");
    // From now on it is sshd itself that has it.
    assert!(machine.ensure(&[taken]).unwrap().is_empty());
}

#[test]
fn ports_of_the_image_are_told_of() {
    let machine = Machine::new("besides");
    machine.configure("Include /etc/ssh/sshd_config.d/*.conf\nPort 2022\n");
    fs::write(
        machine.root.join(DROP_INS).join("50-image.conf"),
        "Port 2022\nPort 22\n",
    )
    .unwrap();
    let warnings = machine.ensure(&[22]).unwrap();
    assert_eq!(
        warnings,
        ["sshd listens on 2022 besides `ssh_ports`: its configuration in the machine's image says so"]
    );
}

#[test]
fn a_socket_that_listens_for_sshd() {
    let machine = Machine::new("socket");
    machine.program("systemctl", "exit 0");
    let warnings = machine.ensure(&[2222]).unwrap();
    assert!(warnings[0].contains("ssh.socket"), "{warnings:?}");
    machine.calls("systemctl");
    fs::create_dir_all(machine.root.join(GENERATOR).parent().unwrap()).unwrap();
    fs::write(machine.root.join(GENERATOR), "").unwrap();
    assert!(machine.ensure(&[2223]).unwrap().is_empty());
    assert_eq!(
        machine.calls("systemctl"),
        [
            "is-active --quiet ssh.socket",
            "daemon-reload",
            "restart ssh.socket",
            RELOAD
        ]
    );
}

/// With the program itself, where it is.
#[test]
fn sshd_itself_reads_it() {
    let program = std::env::var_os("SSHD").unwrap_or_else(|| "/usr/sbin/sshd".into());
    let mut machine = Machine::new("real");
    machine.programs.sshd = program.into();
    if !machine.programs.sshd.exists() {
        return;
    }
    machine.ensure(&[22, 2222]).unwrap();
    assert!(machine.drop_in().is_some());
    machine.configure("Include /etc/ssh/sshd_config.d/*.conf\nNoSuchOption yes\n");
    let error = machine.ensure(&[2223]).unwrap_err();
    assert!(error.to_string().contains("NoSuchOption"), "{error}");
    assert!(machine.drop_in().unwrap().contains("2222"), "the one before");
}
