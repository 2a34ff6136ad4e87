"""What the story needs of an OP, whichever it is: how a user acts there, and what can be asked."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import aiohttp

from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.servers import free_port
from tests.polling import until

CLIENT_SECRET = "interop-secret-0123456789"
ACCESS_TOKEN_SECONDS = 10
# Only a hang takes so long: a JVM on a busy machine needs most of it.
START_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where an OP listens (`port`), where it is known (`public_port`), and its client's origin.
    `further_redirect_uris` and `further_returns` are addresses of applications beside that: where
    it sends browsers after a login, and after a logout."""

    port: int
    public_port: int
    gateway: str
    folder: Path
    further_redirect_uris: tuple[str, ...] = ()
    further_returns: tuple[str, ...] = ()

    @property
    def direct(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def public(self) -> str:
        return f"http://127.0.0.1:{self.public_port}"

    @property
    def redirect_uris(self) -> list[str]:
        return [f"{self.gateway}/bff/callback", *self.further_redirect_uris]

    @property
    def returns(self) -> list[str]:
        return [f"{self.gateway}/", *self.further_returns]

    def environment(self, issuer: str) -> dict[str, str]:
        """What the OPs of our own making read."""
        return {
            "PATH": os.environ["PATH"],
            "PORT": f"{self.port}",
            "ISSUER": issuer,
            "GATEWAY": self.gateway,
            "REDIRECT_URIS": " ".join(self.further_redirect_uris),
            "RETURNS": " ".join(self.further_returns),
            "CLIENT_SECRET": CLIENT_SECRET,
            "AT_TTL": f"{ACCESS_TOKEN_SECONDS}",
        }


def a_place(folder: Path) -> Place:
    """The gateway is localhost and the OP 127.0.0.1, so that a browser sees two sites."""
    return Place(free_port(), free_port(), f"http://localhost:{free_port()}", folder)


class Provider:
    """A running OP. `issuer_path` is what its issuer has behind the origin.

    `api_client_id` is the client that the API asks as, if not the gateway's; `user` are the claims
    of the one who logs in; `further_toml` are lines of `[oidc]` that this OP needs; `paths` are
    those endpoints that its metadata does not list.
    """

    issuer_path: str = ""
    client_id: ClassVar[str]
    api_client_id: ClassVar[str] = ""
    scope: ClassVar[str] = "openid profile email"
    further_toml: ClassVar[str] = ""
    user: ClassVar[Mapping[str, str]]
    paths: ClassVar[Mapping[str, str]] = {}
    tells_of_logouts: ClassVar[bool] = False

    def __init__(self, place: Place, http: aiohttp.ClientSession) -> None:
        self.place = place
        self.issuer = f"{place.public}{self.issuer_path}"
        self._http = http

    # --- what a user does there

    async def log_in(self, browser: Browser, page: Page) -> Page:
        """Fill in the forms from `page` on, to the page the gateway ends at."""
        raise NotImplementedError

    async def confirm_logout(self, browser: Browser, page: Page) -> Page:
        """Say yes where this OP asks whether to log out."""
        return page

    async def sign_out(self, browser: Browser) -> None:
        """End the user's session there, without the gateway; only where it tells of logouts."""
        raise NotImplementedError

    # --- what an API or an administrator asks

    async def initial_access_token(self) -> str:
        """Which lets a client register itself (RFC 7591 section 3); only where that is possible."""
        raise NotImplementedError

    async def metadata(self) -> dict[str, Any]:
        url = f"{self.place.direct}{self.issuer_path}/.well-known/openid-configuration"
        async with self._http.get(url) as answer:
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    async def is_active(self, token: str) -> bool:
        """RFC 7662. A token of another OP is of a kind that some don't know."""
        client_id = self.api_client_id or self.client_id
        status, answer = await self._post("introspection_endpoint", client_id, token=token)
        if status == 400 and answer.get("error") == "unsupported_token_type":
            return False
        assert status == 200, answer
        return bool(answer["active"])

    async def revoke(self, refresh_token: str) -> None:
        """RFC 7009, behind the gateway's back."""
        status, answer = await self._post(
            "revocation_endpoint", self.client_id, token=refresh_token
        )
        assert status == 200, answer

    async def refuses(self, refresh_token: str) -> bool:
        """Whether it is dead; one that is not is spent by the question."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        status, answer = await self._post("token_endpoint", self.client_id, **form)
        assert status in {200, 400, 401}, answer
        return status != 200

    async def _post(self, endpoint: str, client_id: str, **form: str) -> tuple[int, Any]:
        """To the OP itself, whether the relay is there or not."""
        listed = self.paths.get(endpoint) or (await self.metadata())[endpoint]
        url = f"{self.place.direct}{urlsplit(listed).path}"
        credentials = aiohttp.encode_basic_auth(client_id, CLIENT_SECRET)
        async with self._http.post(
            url, data=form, headers={"Authorization": credentials}
        ) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()


@asynccontextmanager
async def a_client() -> AsyncIterator[aiohttp.ClientSession]:
    """For questions to an OP, each on a connection of its own, without cookies."""
    connector = aiohttp.TCPConnector(force_close=True)  # none that the OP is about to close
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        yield http


@contextmanager
def program(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in that folder until the block ends. It ends with this process, too: its stdin
    is closed then. Its log is `op.log` there."""
    with (folder / "op.log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    with process:  # closes its stdin and waits for it
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


async def until_it_answers(
    process: "subprocess.Popen[bytes]", url: str, folder: Path, http: aiohttp.ClientSession
) -> None:
    """Wait until the program serves that address. Raises: RuntimeError, with its log."""

    async def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"the OP has ended:\n{(folder / 'op.log').read_text()}")
        try:
            async with http.get(url) as answer:
                return answer.status == 200
        except (TimeoutError, aiohttp.ClientError):
            return False

    await until(answers, seconds=START_SECONDS, every=0.1)
