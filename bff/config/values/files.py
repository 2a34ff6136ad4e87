"""Files and directories that the configuration names. Relative ones start at the directory of the
configuration file, which the loader passes as the validation context `directory`.
"""

import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema

from bff.oidc.client_auth.keys import ClientKey, certificate_key_bits, client_key
from bff.oidc.jwt.jwks import MIN_RSA_BITS

_MAX_SMALL_FILE_BYTES = 64 * 1024


def in_directory(value: object, directory: Path | None) -> Path:
    """A path as seen from a directory, or from the working directory.

    Raises:
        ValueError: this is no path.
    """
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("must be the path of a file")
    return Path(value) if directory is None else directory / value


def _resolve(value: object, info: ValidationInfo) -> Path:
    return in_directory(value, (info.context or {}).get("directory"))


def require_certificates(path: Path) -> None:
    """A PEM file with at least one certificate that can be loaded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ValueError("holds no certificates in PEM form") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def _require_authorities(path: Path, info: ValidationInfo) -> Path:
    """By the loader's own way of asking, which knows the files that are good already: all tenants
    may name the same one, and the authorities of a system are 150 certificates."""
    require = (info.context or {}).get("require_certificates", require_certificates)
    require(path)
    return path


def require_key(path: Path) -> Path:
    """A PEM file with a private key that can sign."""
    load_client_key(path)
    return path


def require_certificate(path: Path | None, *, key_file: Path | None) -> None:
    """A PEM file with a certificate, and the one with its key. Both or none.

    Raises:
        ValueError: they can't be used together.
    """
    if path is None and key_file is None:
        return
    if path is None or key_file is None:
        raise ValueError("and client_key_file go together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_cert_chain(path, key_file, password="")
    except ssl.SSLError as error:
        if error.reason == "EE_KEY_TOO_SMALL":  # TLS uses none that is this weak
            bits = certificate_key_bits(str(path))
            what = "a key that is too short" if bits is None else f"an RSA key of {bits} bits"
            raise ValueError(f"is for {what}; at least {MIN_RSA_BITS} of RSA") from None
        raise ValueError(
            "is no certificate in PEM form that client_key_file is the key of"
        ) from None
    except OSError as error:
        raise ValueError(f"or its key cannot be read: {error.strerror}") from None


def require_site(path: Path) -> Path:
    """A directory with a built single-page app in it."""
    if not path.is_dir():
        raise ValueError("is not a directory; build the app first, or use dev_server")
    if not (path / "index.html").is_file():
        raise ValueError("has no index.html; build the app first, or use dev_server")
    return path


def read_text(path: Path, *, most_bytes: int = _MAX_SMALL_FILE_BYTES) -> str:
    """The text of a small file.

    Raises:
        ValueError: with the reason, never the content.
    """
    try:
        return _read(path, most_bytes).decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def load_client_key(path: Path) -> ClientKey:
    """The private key in a PEM file.

    Raises:
        ValueError: with the reason, never the content.
    """
    return client_key(_read(path, _MAX_SMALL_FILE_BYTES))


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(content) > most_bytes:
        raise ValueError("is too large")
    return content


_SCHEMA = WithJsonSchema({"type": "string", "x-kind": "file"})
FilePath = Annotated[Path, BeforeValidator(_resolve), _SCHEMA]
KeyFile = Annotated[Path, BeforeValidator(_resolve), AfterValidator(require_key), _SCHEMA]
CaFile = Annotated[Path, BeforeValidator(_resolve), AfterValidator(_require_authorities), _SCHEMA]
Directory = Annotated[
    Path,
    BeforeValidator(_resolve),
    WithJsonSchema({"type": "string", "x-kind": "directory"}),
]
SiteRoot = Annotated[
    Path,
    BeforeValidator(_resolve),
    AfterValidator(require_site),
    WithJsonSchema({"type": "string", "x-kind": "directory"}),
]
