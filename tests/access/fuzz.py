"""Lines for the forced command, none of which is one: seeded, so that a failure comes again.

Usage: fuzz.py MONOPOD COUNT; run as the user granting-service. Prints how often the program did not refuse.
"""

import os
import random
import re
import subprocess
import sys

NAME = rb"[a-z][a-z0-9_-]{0,31}"
HOST = rb"[A-Za-z0-9][A-Za-z0-9.-]{0,252}"
# The grammar, said a second time in another language: what it takes is no case of this test.
OPTION = rb"(?:--remote-host +%s|--remote-host=(?:%s|[0-9a-fA-F:.]*))" % (HOST, HOST)
VALID = re.compile(
    rb" *(?:grant|revoke)-ssh-access(?: +(?:%s|%s|--keep-local))+ *" % (NAME, OPTION)
)
MARK = b"/run/jail/executed"
PIECES = [
    b"grant-ssh-access", b"revoke-ssh-access", b"grant-ssh-acces", b"GRANT-SSH-ACCESS", b"grant_ssh_access", b"alice",
    b"root", b"granting-service", b"--remote-host", b"--remote-host=", b"--remote-host=10.0.0.1", b"--keep-local",
    b"--help", b"--", b"-", b"-o", b"ProxyCommand=touch " + MARK, b";", b"&&", b"|", b"&", b"$(touch " + MARK + b")",
    b"`touch " + MARK + b"`", b"touch " + MARK, b">" + MARK, b"$IFS", b"\n", b"\r\n", b"\t", b" ", b"  ", b"\x1b[2J",
    b"\x7f", b"'", b'"', b"\\", b"*", b"?", b"~", b"../../etc/passwd", b"/bin/sh", b"-c", b"%n%s", b"\xff\xfe",
    b"\xc3\xa9", b"\xe2\x80\xae", b"{a,b}", b"0", b"A" * 40, b"a" * 33, b"a" * 2000, b"=", b"#", b"!", b"alice bob",
]


def line(chance):
    kind = chance.randrange(4)
    if kind == 0:
        return bytes(chance.randrange(1, 256) for _ in range(chance.randrange(0, 120)))
    if kind == 1:
        pieces = [chance.choice(PIECES) for _ in range(chance.randrange(1, 7))]
        return chance.choice([b" ", b"", b"\n", b";"]).join(pieces)
    # Near-misses: a good line with one or two changes in it.
    text = bytearray(chance.choice([
        b"grant-ssh-access alice", b"revoke-ssh-access alice --keep-local",
        b"grant-ssh-access --remote-host=10.0.0.1 alice", b"grant-ssh-access alice --remote-host db.internal",
    ]))
    for _ in range(chance.randrange(1, 3)):
        at = chance.randrange(len(text) + 1)
        if kind == 2:
            text[at:at] = chance.choice(PIECES)
        else:
            text[at:at + 1] = bytes([chance.randrange(1, 256)])
    return bytes(text)


def main():
    program, count = sys.argv[1], int(sys.argv[2])
    chance, tried, passed = random.Random(8), 0, 0
    while tried < count:
        text = line(chance).replace(b"\0", b"")
        if VALID.fullmatch(text):
            continue
        tried += 1
        environment = {b"SSH_ORIGINAL_COMMAND": text, b"SSH_CONNECTION": b"10.0.0.9 1 127.0.0.1 22"}
        ended = subprocess.run([program, "access", "forced-command"], env=environment, capture_output=True, check=False)
        if ended.returncode != 1 or b"panicked" in ended.stderr:
            passed += 1
            print(repr(text), ended.returncode, ended.stderr, file=sys.stderr)
    print(tried, passed)


main()
