"""What the machine shows of the gateway's processes: arguments, variables, limits."""

from pathlib import Path

import pytest

from bff.config.values.secrets import new_secret
from tests.flows.test_workers import two_workers
from tests.parts.configuration import CLIENT_SECRET, SESSION_SECRET
from tests.parts.redis_server import RedisServer


def of_process(pid: int, kind: str) -> str:
    return Path(f"/proc/{pid}/{kind}").read_text()


@pytest.mark.rule("OP-08")
async def test_a_worker_shows_no_secret_and_leaves_no_core_file(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Its settings come by a socket, whether they were in the file or in a variable."""
    secrets = {
        "BFF_OIDC__CLIENT_SECRET": new_secret(),
        "BFF_SESSION__SECRETS": new_secret(),
        "BFF_SESSION__STORE": own_redis.url,
    }
    async with two_workers(own_redis, tmp_path, environment=secrets) as service:
        pids = service.worker_pids()
        assert len(pids) == 2
        for pid in pids:
            for kind in ("cmdline", "environ"):
                shown = of_process(pid, kind)
                assert shown
                for secret in (*secrets.values(), CLIENT_SECRET, SESSION_SECRET):
                    assert secret not in shown, kind
        for pid in (*pids, service.program.pid):
            limits = of_process(pid, "limits").splitlines()
            [core] = [line.split() for line in limits if line.startswith("Max core file size")]
            assert core[4] == "0"
