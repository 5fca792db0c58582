"""Keys, certificates and tokens of one cluster, new with each `up`.

Owns: the files below Layout.pki, readable by root only. Never: gives one out.
"""

import base64
import csv
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devcluster.real import components
from devcluster.real.addresses import Addresses
from devcluster.real.layout import Layout

MASTERS = "system:masters"
ADMIN = "admin"
LIFE = timedelta(days=365)
SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a certificate is for; server names make it a server's, none a client's."""

    name: str
    group: str = ""
    names: Sequence[str] = ()
    addresses: Sequence[IPv4Address] = field(default_factory=tuple)


class Authority:
    """A certificate authority; it lives as long as this object."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(Holder(name))
        basic = x509.BasicConstraints(ca=True, path_length=0)
        self.certificate = (
            _unsigned(self._name, self._name, self._key.public_key())
            .add_extension(basic, critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def issue(self, holder: Holder) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [*map(x509.DNSName, holder.names), *map(x509.IPAddress, holder.addresses)]
        use = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _unsigned(_subject(holder), self._name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(self._identifier, critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()), key


def write(layout: Layout, addresses: Addresses) -> None:
    """All files of a new cluster."""
    layout.pki.mkdir(mode=0o700, parents=True)
    authority = Authority(f"devcluster {layout.name}")
    _write(layout.pki / "ca.crt", _pem(authority.certificate))
    for name, holder in _holders(layout, addresses).items():
        certificate, key = authority.issue(holder)
        _write(layout.pki / f"{name}.crt", _pem(certificate))
        _write(layout.pki / f"{name}.key", _key_pem(key))
    signer = ec.generate_private_key(ec.SECP256R1())
    _write(layout.pki / "service-accounts.key", _key_pem(signer))
    _write(layout.pki / "service-accounts.pub", _public_pem(signer))
    _write_tokens(layout)


def token(layout: Layout, account: str) -> str:
    """The token of ADMIN or of a component."""
    return (layout.pki / f"{account}.token").read_text()


def authority_data(layout: Layout) -> str:
    """The CA's certificate as a kubeconfig holds it."""
    return base64.b64encode((layout.pki / "ca.crt").read_bytes()).decode()


def _holders(layout: Layout, addresses: Addresses) -> Mapping[str, Holder]:
    kubernetes = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    )
    reached_at = (addresses.service, addresses.node, IPv4Address("127.0.0.1"))
    return {
        "kube-apiserver": Holder("kube-apiserver", names=("localhost", *kubernetes), addresses=reached_at),
        "kubelet": Holder(layout.node, names=(layout.node,), addresses=(addresses.node,)),
        "kubelet-client": Holder("kube-apiserver-kubelet-client", MASTERS),
    }


def _write_tokens(layout: Layout) -> None:
    """One random token for each account, in the API server's table and in a file of its own."""
    accounts = {
        ADMIN: (ADMIN, MASTERS),
        components.CONTROLLER_MANAGER: ("system:kube-controller-manager", ""),
        components.SCHEDULER: ("system:kube-scheduler", ""),
        components.KUBELET: (f"system:node:{layout.node}", "system:nodes"),
    }
    table = layout.pki / "tokens.csv"
    with os.fdopen(_create(table), "w", newline="") as file:
        rows = csv.writer(file)
        for account, (user, group) in accounts.items():
            secret = secrets.token_urlsafe(32)
            rows.writerow((secret, user, user, group))
            _write(layout.pki / f"{account}.token", secret.encode())


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFE)
    )


def _subject(holder: Holder) -> x509.Name:
    group = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, holder.group)] if holder.group else []
    return x509.Name([*group, x509.NameAttribute(NameOID.COMMON_NAME, holder.name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(_create(path), "wb") as file:
        file.write(content)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
