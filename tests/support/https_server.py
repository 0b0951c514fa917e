"""Serves a folder over https, with a certificate of an authority of its own.

  https_server.py FOLDER PORT

Writes the authority's certificate to FOLDER/ca.pem, then listens on 127.0.0.1 and serves FOLDER/files. A file
NAME.redirect holds the address that whoever asks for NAME is sent to. Who says where he comes from is refused.
"""
import datetime
import functools
import http.server
import ipaddress
import ssl
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certificate(name, key, issuer, issuer_key, authority):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
    )
    return builder.sign(issuer_key, hashes.SHA256())


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        path = Path(self.translate_path(self.path))
        redirect = path.with_name(path.name + ".redirect")
        if "Referer" in self.headers:
            self.send_error(400, "Referer")
        elif redirect.exists():
            self.send_response(302)
            self.send_header("Location", redirect.read_text())
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()


def main(folder, port):
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate("rig authority", ca_key, "rig authority", ca_key, True)
    leaf = certificate("127.0.0.1", key, "rig authority", ca_key, False)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    both = folder / "server.pem"
    plain = serialization.NoEncryption()
    both.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + leaf.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    handler = functools.partial(Handler, directory=folder / "files")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("listening", flush=True)
    server.serve_forever()


main(Path(sys.argv[1]), int(sys.argv[2]))
