"""A headless Chromium that trusts the certificates named to it, and no other it would not trust."""

import base64
import contextlib
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.async_api import Browser, async_playwright, expect

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DEADLINE_MS = 30_000.0


@contextlib.asynccontextmanager
async def running_chromium(trusted: Iterable[x509.Certificate]) -> AsyncIterator[Browser]:
    """`trusted` are certificates of servers, or of authorities that servers send along."""
    async with async_playwright() as playwright:
        expect.set_options(timeout=DEADLINE_MS)
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*FLAGS, trusting(trusted)],
        )
        try:
            yield browser
        finally:
            await browser.close()


def trusting(trusted: Iterable[x509.Certificate]) -> str:
    """The flag with which Chromium takes these certificates for good."""
    return f"--ignore-certificate-errors-spki-list={','.join(map(_key_hash, trusted))}"


def _key_hash(certificate: x509.Certificate) -> str:
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()
