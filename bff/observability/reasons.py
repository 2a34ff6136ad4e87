"""Why something could not be reached, in words for an operator: DNS, TCP, TLS.

Made of the error's kind alone. The text of an exception is never used: it may repeat a URL with a
password, or what the other side has sent.
"""

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping

# X509_V_ERR_* of OpenSSL.
_CERTIFICATE: Mapping[int, str] = {
    9: "its certificate is not valid yet: compare the clocks",
    10: "its certificate has expired: it has to be renewed there",
    18: "its certificate is signed by itself",
    19: "its certificate leads to an authority that is not trusted here",
    20: "its certificate is from an authority that is not trusted here",
    21: "its certificate is from an authority that is not trusted here",
    62: "its certificate is for another host name: use the name it was made for",
    64: "its certificate is not for this IP address: use the name it was made for",
}
_UNTRUSTED = frozenset({18, 19, 20, 21})
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
_WANTS_CERTIFICATE = frozenset(
    {"TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_CERTIFICATE_REQUIRED"}
)
_HUNG_UP = frozenset({"ServerDisconnectedError", "ClientConnectionResetError"})
_OS: Mapping[int, str] = {
    errno.ECONNREFUSED: "connection refused: nothing listens there",
    errno.ECONNRESET: "the connection was cut",
    errno.EPIPE: "the connection was cut",
    errno.EHOSTUNREACH: "there is no route to that host",
    errno.ENETUNREACH: "there is no route to that network",
    errno.ETIMEDOUT: "no answer in time: a firewall may drop the packets",
    errno.ENOENT: "there is no such socket",
    errno.EACCES: "this user may not use the socket",
    errno.EMFILE: "this process has too many files open",
}

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def reason_of(error: BaseException, *, ca_setting: str = "") -> str:
    """The words. `ca_setting` names what an authority that is not trusted is configured with."""
    for one in _with_causes(error):
        words = _words(one, ca_setting)
        if words:
            return words
    return f"it failed ({type(error).__name__})"


def cause_of(error: BaseException) -> BaseException | None:
    """What it was raised for, named as its cause or not."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The innermost cause says most; that of a timeout is only how asyncio makes one."""
    chain = [error]
    while len(chain) < 8:
        inner = getattr(chain[-1], "os_error", None) or cause_of(chain[-1])
        if not isinstance(inner, BaseException) or inner in chain:
            break
        chain.append(inner)
    return reversed(chain)


def _words(error: BaseException, ca_setting: str) -> str:
    if isinstance(error, ssl.SSLError):
        return _tls_words(error, ca_setting)
    if isinstance(error, socket.gaierror):
        return "the host name is not known (DNS)"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncio.IncompleteReadError) or type(error).__name__ in _HUNG_UP:
        return "it hung up without an answer"
    if isinstance(error, OSError) and error.errno is not None:
        return _OS.get(error.errno) or os.strerror(error.errno).lower()
    if isinstance(error, ConnectionError):
        return "the connection was cut"
    return ""


def _tls_words(error: ssl.SSLError, ca_setting: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        words = _CERTIFICATE.get(error.verify_code, "its certificate can't be verified")
        hint = error.verify_code in _UNTRUSTED and ca_setting
        return f"{words}: name its CA's file in {ca_setting}" if hint else words
    reason = error.reason or ""
    if reason in _NOT_TLS:
        return "no TLS is spoken there: it may be a port for plain connections"
    if reason in _WANTS_CERTIFICATE:
        return "it wants a client certificate"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "it hung up during the TLS handshake: it may be a port for plain connections"
    return "the TLS handshake failed"


def complaint_of(error: BaseException | None) -> str:
    """What an HTTP parser (httptools, aiohttp) did not like: `invalid method`, `line too long`.
    Only the names of its error classes say so, and its texts repeat what was sent."""
    name = type(error).__name__ if error is not None else ""
    words = _CAPITAL.sub(" ", name.removeprefix("HttpParser").removesuffix("Error"))
    return words.strip().lower() or "no HTTP"
