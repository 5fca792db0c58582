import csv
import ssl
import stat
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devcluster.real import components, pki
from devcluster.real.addresses import Addresses
from devcluster.real.layout import Layout

PLAN = Addresses(2)


@pytest.fixture
def layout(tmp_path):
    made = Layout("trial", tmp_path / "state", tmp_path / "run")
    pki.write(made, PLAN)
    return made


def certificate(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((layout.pki / f"{name}.crt").read_bytes())


def names(found: x509.Certificate) -> x509.SubjectAlternativeName:
    return found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_only_root_can_read_any_of_it(layout):
    assert stat.S_IMODE(layout.pki.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in layout.pki.iterdir()} == {0o600}


def test_the_api_server_is_trusted_at_every_address_where_it_is_reached(layout):
    found = names(certificate(layout, "kube-apiserver"))

    reached = {PLAN.node, PLAN.service, IPv4Address("127.0.0.1")}
    assert set(found.get_values_for_type(x509.IPAddress)) == reached
    assert "kubernetes.default.svc" in found.get_values_for_type(x509.DNSName)


def test_every_certificate_is_of_the_one_authority_and_has_its_key_beside_it(layout):
    authority = certificate(layout, "ca")
    for name in ("kube-apiserver", "kubelet", "kubelet-client"):
        found = certificate(layout, name)
        found.verify_directly_issued_by(authority)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            layout.pki / f"{name}.crt", layout.pki / f"{name}.key"
        )


def test_the_api_server_may_do_all_on_the_kubelet_and_cannot_serve_with_that_certificate(layout):
    found = certificate(layout, "kubelet-client")

    groups = [each.value for each in found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    use = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert groups == [pki.MASTERS]
    assert list(use) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_each_account_has_a_token_of_its_own_and_its_groups(layout):
    rows = {row[1]: row for row in csv.reader((layout.pki / "tokens.csv").read_text().splitlines())}

    assert len({row[0] for row in rows.values()}) == 4
    assert rows["admin"] == [pki.token(layout, pki.ADMIN), "admin", "admin", "system:masters"]
    assert rows["system:node:trial-node"][3] == "system:nodes"
    assert rows["system:node:trial-node"][0] == pki.token(layout, components.KUBELET)


def test_the_public_key_verifies_what_the_signing_key_signs(layout):
    private = serialization.load_pem_private_key((layout.pki / "service-accounts.key").read_bytes(), None)
    public = serialization.load_pem_public_key((layout.pki / "service-accounts.pub").read_bytes())

    assert private.public_key() == public


def test_secrets_are_never_written_over(layout):
    with pytest.raises(FileExistsError):
        pki.write(layout, PLAN)
