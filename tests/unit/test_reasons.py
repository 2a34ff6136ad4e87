"""Operators read words, never the name of an exception class and never what the other side sent."""

import asyncio
import errno
import socket
import ssl

import aiohttp
import httptools
import pytest

from bff.observability.reasons import complaint_of, reason_of

CANARY = "canary-of-the-other-side"


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, CANARY)
    error.verify_code = code
    return error


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, CANARY)
    error.reason = reason
    return error


def caused(by: BaseException) -> Exception:
    error = ConnectionError(CANARY)
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, CANARY), "nothing listens there"),
        (OSError(errno.EHOSTUNREACH, CANARY), "no route to that host"),
        (OSError(errno.ENOSPC, CANARY), "no space left on device"),
        (socket.gaierror(socket.EAI_NONAME, CANARY), "not known (DNS)"),
        (TimeoutError(CANARY), "no answer in time"),
        (asyncio.IncompleteReadError(b"", 1), "hung up"),
        (aiohttp.ServerDisconnectedError(CANARY), "hung up"),
        (certificate(10), "has expired"),
        (certificate(62), "another host name"),
        (certificate(20), "not trusted here: name its CA's file in the.key"),
        (certificate(18), "the.key"),
        (certificate(9999), "can't be verified"),
        (tls("WRONG_VERSION_NUMBER"), "no TLS is spoken there"),
        (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "client certificate"),
        (tls("SOMETHING_NEW"), "TLS handshake failed"),
        (caused(certificate(10)), "has expired"),
        (caused(socket.gaierror(socket.EAI_NONAME, CANARY)), "(DNS)"),
        (ValueError(CANARY), "it failed (ValueError)"),
    ],
)
def test_each_kind_of_failure_has_its_words(error: BaseException, words: str) -> None:
    """The innermost cause is told, for it says most."""
    said = reason_of(error, ca_setting="the.key")
    assert words in said
    assert CANARY not in said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httptools.HttpParserInvalidMethodError(CANARY), "invalid method"),
        (httptools.HttpParserInvalidURLError(CANARY), "invalid url"),
        (httptools.HttpParserError(CANARY), "no HTTP"),
        (None, "no HTTP"),
    ],
)
def test_what_a_parser_does_not_like_is_said_in_words(
    error: BaseException | None, words: str
) -> None:
    assert complaint_of(error) == words
