"""TLS towards an OP: the authorities that are trusted, and the client certificate that the gateway
shows (RFC 8705 section 2), loaded anew when its files change.
"""

import ssl
from pathlib import Path

import structlog

log = structlog.get_logger("bff.oidc")

_Stamp = tuple[tuple[int, ...], ...]


class ClientTls:
    """The TLS settings towards OPs. `ca_file`, when given, replaces the system's CAs."""

    def __init__(self, ca_file: str | None, cert_file: str | None, key_file: str | None) -> None:
        self._ca_file = ca_file
        self._cert_file = cert_file
        self._key_file = key_file
        self._stamp: _Stamp = ()
        self._context: ssl.SSLContext | None = None

    def load(self) -> None:
        """Read the files, unless that was done for another OP.

        Raises:
            OSError: a file can't be read or used.
        """
        if self._context is not None:
            return
        self._stamp = self._stamp_of_files()
        self._context = self._made()

    def context(self) -> ssl.SSLContext:
        """That of the files as they are now; the former one while they can't be used, as between
        the writing of one and of the other."""
        if self._context is None:
            raise RuntimeError("ClientTls is used before load()")
        stamp = self._stamp_of_files()
        if stamp and stamp != self._stamp:
            self._stamp = stamp
            try:
                self._context = self._made()
                log.info("client_certificate_changed", file=self._cert_file)
            except OSError as error:  # ssl.SSLError is one
                reason = error.strerror or "no certificate with its key"
                log.warning("client_certificate_unusable", file=self._cert_file, reason=reason)
        return self._context

    def _made(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file)
        if self._cert_file is not None:
            context.load_cert_chain(self._cert_file, self._key_file, password="")
        return context

    def _stamp_of_files(self) -> _Stamp:
        """Empty without a certificate, and while a file is missing."""
        files = [file for file in (self._cert_file, self._key_file) if file is not None]
        try:
            found = [Path(file).stat() for file in files]
        except OSError:
            return ()
        return tuple((one.st_mtime_ns, one.st_ctime_ns, one.st_ino, one.st_size) for one in found)


class SharedTls:
    """One `ClientTls` for all OPs at which the same authorities are trusted and the same
    certificate is shown: each holds every certificate of the system, and a thousand tenants have an
    OP each."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, ...], ClientTls] = {}

    def towards(
        self, ca_file: str | None, cert_file: str | None, key_file: str | None
    ) -> ClientTls:
        """The authorities are those of the system, unless a file is given. Nothing is read yet."""
        files = (ca_file, cert_file, key_file)
        if files not in self._known:
            self._known[files] = ClientTls(ca_file, cert_file, key_file)
        return self._known[files]
