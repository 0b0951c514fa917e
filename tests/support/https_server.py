"""Serves a folder over https, with a certificate of an authority of its own.

  https_server.py FOLDER PORT

Writes the authority's certificate to FOLDER/ca.pem, then listens on 127.0.0.1 and serves FOLDER/files. A file
NAME.redirect holds the address that whoever asks for NAME is sent to. Who says where he comes from is refused.
"""
import functools
import http.server
import ssl
import sys
from pathlib import Path

from certificates import HERE, certificate, key_bytes, new_key


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
    ca_key, key = new_key(), new_key()
    (folder / "ca.pem").write_bytes(certificate("rig authority", ca_key, "rig authority", ca_key, True))
    both = folder / "server.pem"
    # For the address alone: by its name the same server is another one, and must not be believed.
    leaf = certificate("127.0.0.1", key, "rig authority", ca_key, False, names=HERE[:1])
    both.write_bytes(key_bytes(key) + leaf)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    handler = functools.partial(Handler, directory=folder / "files")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("listening", flush=True)
    server.serve_forever()


main(Path(sys.argv[1]), int(sys.argv[2]))
