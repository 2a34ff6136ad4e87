"""`server.reload_on_change`: a changed file of the configuration is a reload, without being asked.

Real processes, with sessions in Redis.
"""

import asyncio
import os
from pathlib import Path

import pytest

from bff.app.watched_files import WatchedFiles
from bff.config import ConfigError
from bff.config.changes import files_named_in
from tests.flows.test_reload import CLAIMS, OTHER_SECRET, change, config_of, user
from tests.flows.test_restart import running, stopped
from tests.flows.test_workers import Service, logged_in
from tests.parts.configuration import SESSION_SECRET, Ports, gateway_toml, settings_from
from tests.parts.redis_server import RedisServer
from tests.polling import until

pytestmark = pytest.mark.timeout(900)  # processes are started, on a busy machine

WATCHED = "reload_on_change = true"


async def number_of(service: Service, event: str, number: int) -> list[dict[str, object]]:
    """Wait for so many; there may not be more."""
    await until(lambda: len(service.program.events(event)) >= number)
    found = service.program.events(event)
    assert len(found) == number
    return found


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_changed_file_is_a_reload_and_a_wrong_one_is_told_once(
    own_redis: RedisServer, tmp_path: Path, workers: int
) -> None:
    """Each process that takes over goes on watching."""
    server = f"{WATCHED}\nworkers = {workers}"
    async with running(own_redis, tmp_path, server=server) as service:
        async with logged_in(service) as (_, fields):
            change(service, CLAIMS, CLAIMS + "\nclaim = 1")
            [refused] = await number_of(service, "reload_refused", 1)
            assert "user.claim: unknown key" in str(refused["problems"])
            config_of(service).touch()  # the same content is no change
            change(service, "\nclaim = 1", "\nclaims_ = 1")
            await number_of(service, "reload_refused", 2)  # of which none is the first one again
            # As an editor does that writes a new file and puts it in the place of the old one.
            good = config_of(service).read_text().replace("\nclaims_ = 1", "")
            new = tmp_path / "new"
            new.write_text(good.replace(CLAIMS, 'anonymous = "null"\n' + CLAIMS))
            new.replace(config_of(service))
            [reloaded] = await number_of(service, "reloaded", 1)
            assert reloaded["changed"] == ["user.anonymous"]
            assert (await user(service, {"X-CSRF": "1"}))[0] == 200
            change(service, 'anonymous = "null"\n', "")
            await number_of(service, "reloaded", 2)
            assert (await user(service, fields))[0] == 200
        assert await stopped(service) == 0


async def test_a_link_that_is_turned_to_new_secrets_is_a_reload(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """As Kubernetes does it: files are links into `..data`, itself a link that is swapped."""
    mount = tmp_path / "mount"
    for name, text in (("1", SESSION_SECRET), ("2", f"{OTHER_SECRET}\n{SESSION_SECRET}")):
        (mount / name).mkdir(parents=True)
        (mount / name / "secrets").write_text(text)
    (mount / "..data").symlink_to("1")
    (mount / "secrets").symlink_to("..data/secrets")
    async with running(own_redis, tmp_path, server=WATCHED) as service:
        secrets = f'secrets_file = "{mount / "secrets"}"'
        change(service, f'secrets = ["{SESSION_SECRET}"]', secrets)
        await number_of(service, "reloaded", 1)
        (mount / "..new").symlink_to("2")
        (mount / "..new").replace(mount / "..data")
        [_, second] = await number_of(service, "reloaded", 2)
        assert second["changed"] == ["session.secrets"]
        text = service.program.log.read_text()
        assert OTHER_SECRET not in text
        assert str(mount / "secrets") in text
        assert await stopped(service) == 0


def test_what_is_watched_are_the_files_with_secrets_and_certificates(tmp_path: Path) -> None:
    """Not the pages of an app, which are served anew by themselves, nor logs, which we write."""
    (tmp_path / "secret").write_text("s3cret-of-the-gateway")
    toml = gateway_toml(
        Ports(1, 2, 3, 4), extra=f'[access_log]\nenabled = true\nfile = "{tmp_path / "log"}"'
    )
    given = {"BFF_OIDC__CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    assert files_named_in(settings_from(toml, given)) == {tmp_path / "secret"}


async def test_what_is_no_tenants_file_is_no_change_and_ends_no_watch(tmp_path: Path) -> None:
    """An editor's lock, a pipe, which can't be read to an end, and a directory that was away."""
    directory = tmp_path / "tenants.d"
    directory.mkdir()
    changes: list[None] = []
    watched = WatchedFiles([], [directory])
    watching = asyncio.create_task(watched.watch(lambda: changes.append(None)))
    (directory / ".#acme.toml").symlink_to("someone@somewhere.1234")
    os.mkfifo(directory / "pipe.toml")
    await until(lambda: len(changes) == 1)  # the pipe alone
    (directory / "pipe.toml").unlink()
    (directory / ".#acme.toml").unlink()
    directory.rmdir()
    await until(lambda: len(changes) == 2)
    directory.mkdir()
    (directory / "acme.toml").touch()
    await until(lambda: len(changes) == 3)
    watching.cancel()


async def test_a_tenant_that_comes_or_goes_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").touch()
    changes: list[None] = []
    watched = WatchedFiles([], [tmp_path])
    watching = asyncio.create_task(watched.watch(lambda: changes.append(None)))
    (tmp_path / "globex.toml").touch()
    await until(lambda: len(changes) == 1)
    (tmp_path / "acme.toml").unlink()
    await until(lambda: len(changes) == 2)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "globex.toml").write_text('name = "Globex"')
    await until(lambda: len(changes) == 3)
    watching.cancel()


def test_it_needs_a_store_that_outlives_a_process() -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from(gateway_toml(Ports(1, 2, 3, 4), server=WATCHED), {})
    assert [problem.key for problem in caught.value.problems] == ["server.reload_on_change"]
