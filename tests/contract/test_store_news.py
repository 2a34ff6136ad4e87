"""What every session store must tell its listeners, in this process and in others."""

import time

from bff.sessions.store import NewRecord
from tests.contract.conftest import Engine, Heard
from tests.polling import until


async def test_every_instance_hears_of_every_write(engine: Engine, key: str) -> None:
    """Each write is published in the same step; the writer hears itself as well (SE-06)."""
    own, other = Heard(), Heard()
    store = await engine.open(own)
    await engine.open(other)
    await until(lambda: own.watching[-1:] == other.watching[-1:] == [True])
    await store.create(
        key, NewRecord(b"1", idle_seconds=60, expires_at=time.time() + 60, indexes=())
    )
    await store.replace(key, b"2", expected_version=1)
    await store.touch(key, idle_seconds=61)
    await store.delete(key, reason="back-channel logout")
    news = [("changed", key, 2), ("ended", key, "back-channel logout")]
    await until(lambda: own.news == other.news == news)


async def test_what_did_not_happen_is_not_told(engine: Engine, key: str) -> None:
    """Refused writes publish nothing: no process drops a good entry for them."""
    heard = Heard()
    store = await engine.open(heard)
    await until(lambda: heard.watching[-1:] == [True])
    await store.create(
        key, NewRecord(b"1", idle_seconds=60, expires_at=time.time() + 60, indexes=())
    )
    await store.replace(key, b"2", expected_version=7)
    await store.delete(key + "x", reason="logout")
    await store.replace(key, b"2", expected_version=1)
    await until(lambda: bool(heard.news))
    assert heard.news == [("changed", key, 2)]
