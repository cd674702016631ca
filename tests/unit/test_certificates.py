"""Our own authority: what it signs verifies, what it did not sign does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from core import certificates
from core.certificates import CertificateInvalid, Identity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AUTHORITY = certificates.new_authority("Millwright test", now=NOW)
OTHER = certificates.new_authority("Millwright test", now=NOW)


def loaded(found: Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(found.certificate)


def policy(authority: Identity = AUTHORITY, *, at: datetime = NOW) -> PolicyBuilder:
    return PolicyBuilder().store(Store([loaded(authority)])).time(at)


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, name: str = "whatever") -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder(subject).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def test_a_server_certificate_is_for_its_names_and_its_time() -> None:
    names = ("localhost", "127.0.0.1", "::1", "broker.plant.example")
    made = certificates.issue_server(AUTHORITY, names, now=NOW)
    for name in ("localhost", "broker.plant.example"):
        policy().build_server_verifier(x509.DNSName(name)).verify(loaded(made), [])
    with pytest.raises(x509.verification.VerificationError):
        policy().build_server_verifier(x509.DNSName("elsewhere.example")).verify(loaded(made), [])
    with pytest.raises(x509.verification.VerificationError):
        late = policy(at=NOW + certificates.SERVER_LASTS + timedelta(days=1))
        late.build_server_verifier(x509.DNSName("localhost")).verify(loaded(made), [])
    assert certificates.names_of(made.certificate) == frozenset(names)
    assert certificates.expires(made.certificate) == NOW + certificates.SERVER_LASTS
    certificates.check_identity(made, now=NOW)


def test_a_server_certificate_opens_no_door_as_a_client() -> None:
    made = certificates.issue_server(AUTHORITY, ("millwright-ingest",), now=NOW)
    with pytest.raises(x509.verification.VerificationError):
        policy().build_client_verifier().verify(loaded(made), [])


def test_a_client_certificate_names_its_device() -> None:
    made = certificates.issue_client(AUTHORITY, "gw-1", now=NOW)
    assert [each.value for each in loaded(made).subject] == ["gw-1"]
    assert certificates.issued_by(made.certificate, AUTHORITY.certificate)
    assert not certificates.issued_by(made.certificate, OTHER.certificate)
    assert len(certificates.fingerprint(made.certificate)) == 64
    certificates.check_identity(made, now=NOW)


def test_a_request_gets_its_key_signed_and_nothing_else() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.load_pem_x509_certificate(
        certificates.sign_request(AUTHORITY, "gw-1", request(key, "millwright-ingest"), now=NOW)
    )
    assert [each.value for each in made.subject] == ["gw-1"]
    assert made.public_key() == key.public_key()
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize("junk", [b"", b"nonsense", request(rsa.generate_private_key(65537, 1024))])  # noqa: S505
def test_a_bad_request_is_refused(junk: bytes) -> None:
    with pytest.raises(CertificateInvalid):
        certificates.sign_request(AUTHORITY, "gw-1", junk, now=NOW)


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    mine, other = (request(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    parts = [x509.load_pem_x509_csr(each) for each in (mine, other)]
    forged = parts[0].public_bytes(serialization.Encoding.DER).replace(parts[0].signature, parts[1].signature)
    if len(parts[0].signature) != len(parts[1].signature):  # the lengths in the DER would no longer fit
        forged = parts[0].public_bytes(serialization.Encoding.DER)[:-1] + b"\x00"
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(CertificateInvalid):
        certificates.sign_request(AUTHORITY, "gw-1", pem, now=NOW)


def test_the_revocation_list_names_the_revoked_and_no_other() -> None:
    good, bad = (certificates.issue_client(AUTHORITY, "gw-1", now=NOW) for _ in range(2))
    made = x509.load_pem_x509_crl(
        certificates.revocation_list(AUTHORITY, [certificates.serial(bad.certificate)] * 2, now=NOW)
    )
    assert made.is_signature_valid(loaded(AUTHORITY).public_key())  # type: ignore[arg-type]
    assert made.get_revoked_certificate_by_serial_number(loaded(bad).serial_number)
    assert made.get_revoked_certificate_by_serial_number(loaded(good).serial_number) is None
    assert made.next_update_utc == certificates.expires(AUTHORITY.certificate)


def test_a_given_pair_must_fit_and_live() -> None:
    first, second = (certificates.issue_server(AUTHORITY, ("a",), now=NOW) for _ in range(2))
    with pytest.raises(CertificateInvalid, match="not the certificate's"):
        certificates.check_identity(Identity(first.certificate, second.key), now=NOW)
    with pytest.raises(CertificateInvalid, match="ended on"):
        certificates.check_identity(first, now=NOW + certificates.SERVER_LASTS)
    for junk in (Identity(b"", first.key), Identity(first.certificate, b"")):
        with pytest.raises(CertificateInvalid, match="PEM"):
            certificates.check_identity(junk, now=NOW)


def test_nothing_outlives_the_authority() -> None:
    late = NOW + certificates.AUTHORITY_LASTS - timedelta(days=10)
    made = certificates.issue_client(AUTHORITY, "gw-1", now=late)
    assert certificates.expires(made.certificate) == certificates.expires(AUTHORITY.certificate)
    assert AUTHORITY.key.decode() not in repr(AUTHORITY)
