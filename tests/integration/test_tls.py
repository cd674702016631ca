"""The authority's files, and a TLS context that trusts them alone."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from core import certificates, tls
from core.certificates import CertificateInvalid
from core.clock import wall_now
from core.tls import Authority
from edge.tls import TlsFiles, context


def test_its_files_are_private_and_lasting(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first = authority.identity
    assert Authority(tmp_path).identity == first
    assert (authority.folder / "ca.key").stat().st_mode & 0o777 == 0o600
    assert authority.folder.stat().st_mode & 0o777 == 0o700


def test_two_that_start_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Authority(tmp_path).identity.certificate, range(8)))
    assert len(set(made)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pki"]


def test_the_server_certificate_is_kept_until_its_names_change_or_its_end_is_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    assert authority.server_expires() is None
    first = authority.server(("localhost", "127.0.0.1"))
    assert authority.server(("127.0.0.1", "localhost")).certificate == first.certificate
    second = authority.server(("localhost", "127.0.0.1", "broker.example"))
    assert second.certificate != first.certificate
    assert authority.server_expires() == certificates.expires(second.certificate)
    near = wall_now() + certificates.SERVER_LASTS - certificates.RENEW_BEFORE
    monkeypatch.setattr(tls, "wall_now", lambda: near - timedelta(days=1))
    assert authority.server(("localhost", "127.0.0.1", "broker.example")).certificate == second.certificate
    monkeypatch.setattr(tls, "wall_now", lambda: near + timedelta(days=1))
    third = authority.server(("localhost", "127.0.0.1", "broker.example"))
    assert certificates.expires(third.certificate) > certificates.expires(second.certificate)
    assert (authority.folder / "server.pem").stat().st_mode & 0o777 == 0o600


def test_a_new_authority_signs_the_server_anew(tmp_path: Path) -> None:
    first = Authority(tmp_path / "a").server(("localhost",))
    kept = Authority(tmp_path / "b")
    assert kept.identity
    (kept.folder / "server.pem").write_bytes(first.certificate + first.key)
    assert kept.server(("localhost",)).certificate != first.certificate


def test_names_of_the_server() -> None:
    assert tls.server_names("0.0.0.0") == ("localhost", "127.0.0.1", "::1", socket.gethostname())  # noqa: S104
    assert tls.server_names("10.0.0.5", ["broker.example"])[-2:] == ("10.0.0.5", "broker.example")
    assert tls.server_names("127.0.0.1").count("127.0.0.1") == 1


def test_a_given_certificate_must_be_readable_and_fit(tmp_path: Path) -> None:
    made = Authority(tmp_path).server(("localhost",))
    (tmp_path / "cert.pem").write_bytes(made.certificate)
    (tmp_path / "key.pem").write_bytes(made.key)
    assert tls.given(tmp_path / "cert.pem", tmp_path / "key.pem") == made
    with pytest.raises(CertificateInvalid, match=r"none\.pem cannot be read"):
        tls.given(tmp_path / "none.pem", tmp_path / "key.pem")
    (tmp_path / "key.pem").write_bytes(Authority(tmp_path).server(("elsewhere",)).key)
    with pytest.raises(CertificateInvalid, match="not the certificate's"):
        tls.given(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_what_a_context_cannot_use_is_said(tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    for files in (
        {"ca_file": tmp_path / "none.pem"},
        {"ca_file": tmp_path / "junk.pem"},
        {"cert_file": tmp_path / "junk.pem"},
        {"cert_file": tmp_path / "junk.pem", "key_file": tmp_path / "junk.pem"},
    ):
        with pytest.raises(TlsFiles):
            context(**files)


def greet(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    """The TLS version that a client agrees on with a server under ``name``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                link, _ = listener.accept()
                with link, server.wrap_socket(link, server_side=True) as answered:
                    answered.recv(1)
            except OSError:
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=10) as link,
                client.wrap_socket(link, server_hostname=name) as wrapped,
            ):
                return wrapped.version()
        finally:
            thread.join(10)


def test_a_context_trusts_its_authority_under_the_right_name_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    made = authority.server(("localhost", "127.0.0.1"))
    (tmp_path / "server.pem").write_bytes(made.certificate + made.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    ours = context(ca_file=authority.certificate_file)
    assert greet(server, ours, "localhost") == "TLSv1.3"
    assert greet(server, ours, "127.0.0.1") == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        greet(server, ours, "broker.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        greet(server, context(), "localhost")
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    assert greet(server, ours, "localhost") == "TLSv1.2"
