"""Another device of the same user, without an engine: it logs in and calls over real sockets."""

import contextlib
from collections.abc import AsyncIterator
from ssl import SSLContext

from tests.e2e.installation import Installation
from tests.parts.browser import Browser


@contextlib.asynccontextmanager
async def logged_in_device(
    site: Installation, user: str = "alice", *, tls: SSLContext | None = None
) -> AsyncIterator[Browser]:
    async with Browser(ssl=tls, chain_counts=False) as device:
        page = await device.navigate(f"{site.public_url}/bff/login")
        await device.log_in_at_op(page, user)
        yield device
