"""Certificates of authorities made for one run, which nobody else trusts.

  certificates.py FOLDER

Writes to FOLDER the certificates of two authorities, `ca.pem` and `other-ca.pem`, and what a server may present, each
as NAME.pem and NAME.key: `good` (of the first authority, for 127.0.0.1 and localhost), `other-authority` (the same, of
the second), `other-name` (of the first, for elsewhere.example.org), `expired` (good until an hour ago).
"""
import datetime
import ipaddress
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
PEM = serialization.Encoding.PEM


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def key_bytes(key):
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def certificate(name, key, issuer, issuer_key, authority, names=HERE, hours=24):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=2))
        .not_valid_after(now + datetime.timedelta(hours=hours))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(PEM)


def main(folder):
    keys = {"rig authority": new_key(), "other rig authority": new_key()}
    for name, file in (("rig authority", "ca.pem"), ("other rig authority", "other-ca.pem")):
        (folder / file).write_bytes(certificate(name, keys[name], name, keys[name], True))
    elsewhere = [x509.DNSName("elsewhere.example.org")]
    for name, issuer, names, hours in (
        ("good", "rig authority", HERE, 24),
        ("other-authority", "other rig authority", HERE, 24),
        ("other-name", "rig authority", elsewhere, 24),
        ("expired", "rig authority", HERE, -1),
    ):
        key = new_key()
        leaf = certificate("rig server", key, issuer, keys[issuer], False, names, hours)
        (folder / f"{name}.pem").write_bytes(leaf)
        (folder / f"{name}.key").write_bytes(key_bytes(key))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
