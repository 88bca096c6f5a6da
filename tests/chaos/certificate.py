"""A certificate authority of the proxy's own, and the kubeconfig by which the operator comes to trust it.

It is valid for years to both sides of today: turning the operator's clock must not end the connection.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADDRESS = "127.0.0.1"
YEARS = timedelta(days=3650)


def write_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority: the files of the certificate and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chaos proxy")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - YEARS)
        .not_valid_after(now + YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "proxy.crt", directory / "proxy.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


def write_kubeconfig(path: Path, port: int, authority: Path) -> None:
    """A kubeconfig whose server is the proxy. It has no rights of its own: the proxy lends its own."""
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "chaos",
                "contexts": [{"name": "chaos", "context": {"cluster": "chaos", "user": "chaos"}}],
                "clusters": [
                    {
                        "name": "chaos",
                        "cluster": {"server": f"https://{ADDRESS}:{port}", "certificate-authority": str(authority)},
                    }
                ],
                "users": [{"name": "chaos", "user": {"token": "the-proxy-lends-its-own"}}],
            }
        )
    )
