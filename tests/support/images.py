"""Builds small images and pushes them to the rig's registry, without an engine. Usage: images.py REGISTRY_URL INDEX

Reads a list of specs (JSON) from standard input, prints {"NAME:TAG": "sha256:..."} of their manifests.

A spec is {"name", "tag", "config": {OCI config}, "layers": [LAYER, ...]}, a LAYER a map of path to content:
{"text": "...", "mode": 493}, {"link": "target"}, {"file": "/path/on/this/machine"}, {"directory": true},
{"random": BYTES, "seed": S} for bytes that don't compress, {"zeros": BYTES} for bytes that nearly vanish. Equal specs give equal digests on every machine where
these files are the same, so what is in the registry already (INDEX remembers) isn't built again.
"""
import base64
import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile
import urllib.error
import urllib.request

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
CONFIG = "application/vnd.docker.container.image.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def entry_bytes(entry):
    if "text" in entry:
        return entry["text"].encode()
    if "file" in entry:
        with open(entry["file"], "rb") as source:
            return source.read()
    if "zeros" in entry:
        return bytes(entry["zeros"])
    return random.Random(entry["seed"]).randbytes(entry["random"])


def key_of(spec):
    """Tells one image from another: the files of this machine count by what is in them."""
    def content(entry):
        return {**entry, "file": digest(entry_bytes(entry))} if "file" in entry else entry

    layers = [{path: content(entry) for path, entry in layer.items()} for layer in spec["layers"]]
    return digest(json.dumps({**spec, "layers": layers}, sort_keys=True).encode())


def build_layer(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, entry in entries.items():
            info = tarfile.TarInfo(path)
            info.mode = entry.get("mode", 0o755)
            data = None
            if entry.get("directory"):
                info.type = tarfile.DIRTYPE
            elif "link" in entry:
                info.type, info.linkname = tarfile.SYMTYPE, entry["link"]
            else:
                data = entry_bytes(entry)
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


class Registry:
    def __init__(self, url, user, password):
        self.url = url
        self.auth = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def call(self, method, path, data=None, **headers):
        url = path if path.startswith("http") else self.url + path
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, data, {"Authorization": self.auth, **headers}, method=method)
        return urllib.request.urlopen(request, timeout=60)

    def has(self, path, **headers):
        try:
            self.call("HEAD", path, **headers)
            return True
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise

    def push_blob(self, repository, data):
        name = digest(data)
        if not self.has(f"/v2/{repository}/blobs/{name}"):
            upload = self.call("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["Location"]
            upload = upload if upload.startswith("http") else self.url + upload
            joint = "&" if "?" in upload else "?"
            self.call("PUT", f"{upload}{joint}digest={name}", data, Content_Type="application/octet-stream")
        return {"size": len(data), "digest": name}

    def push(self, spec):
        repository = spec["name"]
        layers, diff_ids = [], []
        for entries in spec["layers"]:
            plain = build_layer(entries)
            diff_ids.append(digest(plain))
            packed = gzip.compress(plain, compresslevel=1, mtime=0)
            layers.append({"mediaType": LAYER, **self.push_blob(repository, packed)})
        config = {
            "architecture": spec.get("architecture") or {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "created": "2020-01-01T00:00:00Z",
            "config": spec["config"],
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "monopod test rig"} for _ in diff_ids],
        }
        config = {"mediaType": CONFIG, **self.push_blob(repository, json.dumps(config, sort_keys=True).encode())}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        body = json.dumps(manifest, sort_keys=True).encode()
        self.call("PUT", f"/v2/{repository}/manifests/{spec['tag']}", body, Content_Type=MANIFEST)
        return digest(body)


def main():
    url, index_path = sys.argv[1:]
    order = json.load(sys.stdin)
    registry = Registry(url, order["user"], order["password"])
    try:
        with open(index_path) as source:
            index = json.load(source)
    except (OSError, ValueError):
        index = {}
    done = {}
    for spec in order["images"]:
        name = f"{spec['name']}:{spec['tag']}"
        key = key_of(spec)
        known = index.get(name, {})
        manifest = f"/v2/{spec['name']}/manifests/{spec['tag']}"
        if known.get("key") != key or not registry.has(manifest, Accept=MANIFEST):
            known = {"key": key, "digest": registry.push(spec)}
        index[name] = known
        done[name] = known["digest"]
    with open(index_path + ".new", "w") as target:
        json.dump(index, target)
    os.replace(index_path + ".new", index_path)
    json.dump(done, sys.stdout)


if __name__ == "__main__":
    main()
