"""TLS towards a broker: at least 1.2, the host name always checked."""

from __future__ import annotations

import ssl
from pathlib import Path

from core.errors import ConfigError


class TlsFiles(ConfigError):
    """A certificate, key or authority file cannot be used."""

    code = "tls_files"


def context(
    *, ca_file: Path | None = None, cert_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """Trusts ``ca_file`` alone (None: the machine's authorities) and shows the client certificate where there is one.

    Raises TlsFiles.
    """
    if (cert_file is None) is not (key_file is None):
        raise TlsFiles("A client certificate needs both cert_file and key_file.")
    try:
        made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=None if ca_file is None else str(ca_file))
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert_file is not None and key_file is not None:
            made.load_cert_chain(cert_file, key_file, password=_no_password)
    except (OSError, ValueError) as error:
        files = ", ".join(str(path) for path in (ca_file, cert_file, key_file) if path is not None)
        raise TlsFiles(f"TLS files cannot be used ({files}): {error}.") from error
    return made


def _no_password() -> str:
    """A key that asks for a password would ask the terminal of a service that has none."""
    raise ValueError("the key is protected by a password")
