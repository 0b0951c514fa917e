"""Who guards a registry: a token server, or a gate that looks at passwords.

  registry_guard.py tokens FOLDER PORT
  registry_guard.py gate   FOLDER PORT UPSTREAM

Both listen on 127.0.0.1 and write what they are asked to FOLDER/asked, a line of JSON each. FOLDER/login is `user:password`
for the shared registry: what a token server wants to hear, and what a gate asks with.

A token server gives tokens for docker-registry (RS256) to who knows that login. It writes the certificate that
docker-registry has to trust to FOLDER/tokens.pem, and reads how long a token lasts from FOLDER/life.

A gate lets through to the registry UPSTREAM who sends one of the logins in FOLDER/logins (NUL between them; one that
ends in * stands for all that begin so). Blobs are fetched elsewhere, as large registries have it: it redirects to the same port
under another name of this machine, 127.0.0.2, where they are given to whoever asks without a login only.
"""
import base64
import datetime
import http.client
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

FOLDER, PORT = Path(sys.argv[2]), int(sys.argv[3])
# Not an argument: those everybody can read.
LOGIN = (FOLDER / "login").read_text()
LOCK = threading.Lock()


def basic(header):
    kind, _, encoded = header.partition(" ")
    return base64.b64decode(encoded).decode() if kind == "Basic" else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Written in two pieces: without this the second waits for the first one's acknowledgement.
    disable_nagle_algorithm = True

    def note(self):
        line = {
            "method": self.command,
            "host": self.headers.get("Host", ""),
            "path": self.path,
            "authorization": self.headers.get("Authorization"),
        }
        with LOCK, (FOLDER / "asked").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


# --- tokens -------------------------------------------------------------------------------------------------------


class Tokens(Handler):
    def do_GET(self):
        self.note()
        if basic(self.headers.get("Authorization", "")) != LOGIN:
            self.answer(401)
            return
        query = parse_qs(urlparse(self.path).query)
        access = []
        for scope in query.get("scope", []):
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now, life = int(time.time()), int((FOLDER / "life").read_text())
        claims = {
            "iss": "rig",
            "sub": "rig",
            "aud": query["service"][0],
            "iat": now,
            "nbf": now - 5,
            "exp": now + life,
            "jti": str(time.monotonic_ns()),
            "access": access,
        }
        token = signed(claims)
        body = json.dumps({"token": token, "expires_in": life}).encode()
        self.answer(200, [("Content-Type", "application/json")], body)


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(claims):
    head = {"typ": "JWT", "alg": "RS256", "x5c": [CERTIFICATE]}
    text = b".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
    signature = KEY.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return (text + b"." + encoded(signature)).decode()


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rig tokens")])
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


# --- gate ---------------------------------------------------------------------------------------------------------


class Gate(Handler):
    def do_GET(self):
        self.note()
        sent = self.headers.get("Authorization")
        if self.headers.get("Host", "").startswith("127.0.0.2"):
            # A store of signed addresses: a second way to say who asks is refused, as S3 does.
            self.answer(400) if sent else self.forward()
        elif not sent or not any(fits(basic(sent), login) for login in logins()):
            self.answer(401, [("WWW-Authenticate", 'Basic realm="rig"')])
        elif "/blobs/" in self.path:
            self.answer(307, [("Location", f"http://127.0.0.2:{PORT}{self.path}")])
        else:
            self.forward()

    do_HEAD = do_GET

    def forward(self):
        upstream = http.client.HTTPConnection(sys.argv[4])
        password = base64.b64encode(LOGIN.encode()).decode()
        headers = {"Authorization": f"Basic {password}"}
        if "Accept" in self.headers:
            headers["Accept"] = ", ".join(self.headers.get_all("Accept"))
        upstream.request(self.command, self.path, headers=headers)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() in ("content-type", "content-length", "docker-content-digest"):
                self.send_header(name, value)
        self.end_headers()
        while chunk := answer.read(1 << 16):
            self.wfile.write(chunk)
        upstream.close()


def logins():
    return (FOLDER / "logins").read_bytes().decode().split("\0")


def fits(sent, login):
    return sent is not None and (sent.startswith(login[:-1]) if login.endswith("*") else sent == login)


class Server(ThreadingHTTPServer):
    daemon_threads = True


if sys.argv[1] == "tokens":
    KEY = rsa.generate_private_key(65537, 2048)
    made = certificate(KEY)
    CERTIFICATE = base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()
    (FOLDER / "tokens.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    server = Server(("127.0.0.1", PORT), Tokens)
else:
    store = Server(("127.0.0.2", PORT), Gate)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    server = Server(("127.0.0.1", PORT), Gate)
print("listening", flush=True)
server.serve_forever()
