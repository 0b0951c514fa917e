"""What lies around a machine of the rig: an instance metadata service, other machines, and a name server.

Runs in a network namespace of its own that a veth joins with the machine's. Every TCP port answers one line, and every connection
that was accepted is printed: `LINE ADDRESS PORT BYTES`. The name server knows what stands in names.json, read anew for each question.
"""
import json
import socket
import struct
import sys
import threading

ADDRESSES = json.loads(sys.argv[1])
NAMES = sys.argv[2]


def say(text):
    print(text, flush=True)


def serve(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(64)
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=answer, args=(peer, address, port), daemon=True).start()


def answer(peer, address, port):
    try:
        peer.settimeout(5)
        asked = peer.recv(4096)
        peer.sendall(b"HTTP/1.0 200 OK\r\n\r\nanswer of %s\n" % address.encode())
        say("heard %s %d %d" % (address, port, len(asked)))
    except OSError as error:
        say("broken %s %d %s" % (address, port, error))
    finally:
        peer.close()


def name_server(address):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    while True:
        question, peer = server.recvfrom(4096)
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += question[at] + 1
        kind = struct.unpack(">H", question[at + 1:at + 3])[0]
        name = ".".join(labels)
        with open(NAMES) as source:
            known = json.load(source).get(name, [])
        found = [one for one in known if (":" in one) == (kind == 28)] if kind in (1, 28) else []
        head = question[:2] + struct.pack(">HHHHH", 0x8580 | (0 if known else 3), 1, len(found), 0, 0)
        answer = head + question[12:at + 5]
        for one in found:
            family = socket.AF_INET6 if kind == 28 else socket.AF_INET
            data = socket.inet_pton(family, one)
            answer += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 5, len(data)) + data
        server.sendto(answer, peer)
        say("asked %s %d" % (name, kind))


for where, ports in ADDRESSES.items():
    for number in ports:
        threading.Thread(target=serve, args=(where, number), daemon=True).start()
threading.Thread(target=name_server, args=("10.9.0.2",), daemon=True).start()
say("ready")
threading.Event().wait()
