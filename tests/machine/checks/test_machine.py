"""The machine image, booted: what runs, who listens, what sshd and the engine were told.

`make image-test` boots it in a container without a network and gives its name in MACHINE. monopod itself waits for
metadata there, for which the real boot is tested elsewhere (`make boot-test`).
"""

import json
import os
import re

import pytest
import testinfra


@pytest.fixture(scope="module")
def host():
    return testinfra.get_host(f"docker://{os.environ['MACHINE']}")


def settings(host):
    lines = host.check_output("sshd -T").lower().splitlines()
    return dict(line.split(" ", 1) for line in lines if " " in line)


def test_the_first_boot_has_made_an_identity(host):
    assert re.fullmatch(r"[0-9a-f]{32}\n", host.file("/etc/machine-id").content_string)
    for kind in ["ed25519", "ecdsa"]:
        key = host.file(f"/etc/ssh/ssh_host_{kind}_key")
        assert key.size > 0
        assert key.mode == 0o600


@pytest.mark.parametrize("unit", ["docker", "containerd", "ssh", "rsyslog", "systemd-journald", "monopod-drain"])
def test_services_run(host, unit):
    assert host.service(unit).is_running


def test_no_unit_has_failed(host):
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_sshd_takes_keys_alone(host):
    said = settings(host)
    assert {key: said[key] for key in [
        "passwordauthentication", "kbdinteractiveauthentication", "permitemptypasswords", "permitrootlogin",
        "pubkeyauthentication", "permituserenvironment", "x11forwarding", "allowagentforwarding", "loglevel",
    ]} == {
        "passwordauthentication": "no",
        "kbdinteractiveauthentication": "no",
        "permitemptypasswords": "no",
        "permitrootlogin": "without-password",
        "pubkeyauthentication": "yes",
        "permituserenvironment": "no",
        "x11forwarding": "no",
        "allowagentforwarding": "no",
        "loglevel": "verbose",
    }
    assert said["authorizedkeysfile"] == "/run/monopod-access/%u .ssh/authorized_keys"
    assert int(said["maxauthtries"]) <= 4


def test_the_granting_service_has_one_command(host):
    lines = host.check_output("sshd -T -C user=granting-service,host=example.org,addr=192.0.2.1").lower().splitlines()
    for line in [
        "forcecommand /usr/bin/monopod access forced-command",
        "authorizedkeysfile /etc/monopod/granting-service.pub",
        "permittty no",
        "disableforwarding yes",
    ]:
        assert line in lines


def test_who_may_ask_for_rules_and_logins(host):
    for path, group, mode in [
        ("/run/monopod-firewall.sock", "root", 0o600),
        ("/run/monopod-access.sock", "monopod-access-service", 0o660),
    ]:
        socket = host.file(path)
        assert (socket.user, socket.group, socket.mode) == ("root", group, mode), path
    # No process waits for them.
    assert not host.service("monopod-access").is_running
    assert host.run("visudo -c").rc == 0


def test_only_sshd_listens_to_others(host):
    sockets = host.check_output("ss --listening --numeric --tcp --udp --no-header").splitlines()
    places = {(line.split()[0], line.split()[4]) for line in sockets}
    outside = {(kind, place) for kind, place in places if not place.startswith(("127.", "[::1]"))}
    assert outside == {("tcp", "0.0.0.0:22"), ("tcp", "[::]:22")}


def test_the_engine_is_set_up(host):
    said = json.loads(host.check_output("docker info --format '{{json .}}'"))
    assert said["LiveRestoreEnabled"] is True
    assert said["LoggingDriver"] == "json-file"
    assert said["CgroupDriver"] == "systemd"
    assert said["Containers"] == 0
    assert said["Images"] == 0
    assert tuple(int(part) for part in said["ServerVersion"].split(".")[:2]) >= (20, 10)


def test_monopod_is_the_package_s(host):
    version = host.package("monopod").version
    assert host.check_output("monopod --version").split()[-1] == version.split("-")[0]
    assert host.check_output("dpkg --verify monopod") == ""


def test_the_image_s_own_defaults_are_valid(host):
    text = "#taupage-ami-config\napplication_id: app\napplication_version: '1'\nsource: registry.example.org/a:1\n"
    done = host.run("printf %s %s | monopod validate -", "%s", text)
    assert done.rc == 0, done.stdout + done.stderr


def test_a_login_waits_for_nobody(host):
    assert host.run("timeout 5 run-parts /etc/update-motd.d").rc == 0


def test_the_directories_of_the_application(host):
    for path, owner, mode in [
        ("/run/monopod/files", "root", 0o2750),
        ("/run/monopod/secrets", "root", 0o2750),
        ("/run/monopod/identity", "root", 0o2750),
        ("/run/monopod-access/state", "root", 0o700),
        ("/run/monopod-access", "root", 0o755),
        ("/var/log-custom", "application", 0o755),
    ]:
        directory = host.file(path)
        assert (directory.user, directory.mode) == (owner, mode), path
    assert host.file("/run/monopod").group == "monopod-guest"
