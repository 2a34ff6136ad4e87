"""The three engines as Debian packages them: started once, then a fresh profile for each test.

Nothing is downloaded and nothing but loopback is spoken to. Every browser is ended with the process
group it was started in.
"""

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.e2e.chromium import CHROMIUM, FLAGS, trusting
from tests.e2e.engines.marionette import Marionette
from tests.e2e.engines.webdriver import END_SESSION, Browser, HttpTransport
from tests.parts.program import Program, accepts
from tests.parts.servers import free_port

LAUNCH_SECONDS = 30
TIMEOUTS = {"timeouts": {"script": 60_000}}
DISPLAY_NUMBER = re.compile(r"^\d+$", re.MULTILINE)

# Firefox likes to hear from its maker. Whatever else it may ask for ends at a proxy that is not
# there; addresses of this machine never go by a proxy.
FIREFOX_PREFERENCES: dict[str, bool | int | str] = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "services.settings.server": "http://127.0.0.1:9",
    "toolkit.telemetry.enabled": False,
}
TRUST = """
  Cc['@mozilla.org/security/x509certdb;1'].getService(Ci.nsIX509CertDB)
    .addCertFromBase64(arguments[0], 'C,,');
"""
FORGET_ALL = """
  const [done] = arguments;
  Services.clearData.deleteData(Ci.nsIClearDataService.CLEAR_ALL, { onDataDeleted: done });
"""


class Engine(Protocol):
    """A browser engine that is ready to be used."""

    def profile(self) -> contextlib.AbstractAsyncContextManager[Browser]:
        """A profile that knows nothing, with one tab. One at a time."""
        ...


class DriverEngine:
    """A driver program, which starts a browser of its own for each profile."""

    def __init__(self, program: Program, driver: str, capabilities: dict[str, object]) -> None:
        self._program = program
        self._driver = driver
        self._capabilities = {**TIMEOUTS, **capabilities}

    @contextlib.asynccontextmanager
    async def profile(self) -> AsyncIterator[Browser]:
        async with aiohttp.ClientSession() as http:
            transport = await self._open(http)
            try:
                yield Browser(transport)
            finally:
                await transport.send(END_SESSION)

    async def _open(self, http: aiohttp.ClientSession) -> HttpTransport:
        """WebKit's driver now and then waits for ever for a browser that has come up: a new driver
        starts a new one."""
        try:
            async with asyncio.timeout(LAUNCH_SECONDS):
                return await HttpTransport.open(http, self._driver, self._capabilities)
        except TimeoutError:
            await self._program.stop()
            await self._program.start()
            return await HttpTransport.open(http, self._driver, self._capabilities)


class FirefoxEngine:
    """One Firefox, made to forget everything before each profile."""

    def __init__(self, marionette: Marionette) -> None:
        self._marionette = marionette

    async def trust(self, authority: x509.Certificate) -> None:
        encoded = base64.b64encode(authority.public_bytes(Encoding.DER)).decode()
        await self._run_inside("ExecuteScript", TRUST, encoded)

    @contextlib.asynccontextmanager
    async def profile(self) -> AsyncIterator[Browser]:
        browser = Browser(self._marionette)
        before = await browser.tabs()
        fresh = await browser.new_tab()
        for tab in before:
            await tab.close()
        await fresh.look_at()
        await self._run_inside("ExecuteAsyncScript", FORGET_ALL)
        yield browser

    async def _run_inside(self, command: str, script: str, *arguments: object) -> None:
        """A script of the browser itself, not of a page."""
        await self._marionette.call("Marionette:SetContext", value="chrome")
        try:
            await self._marionette.call(f"WebDriver:{command}", script=script, args=list(arguments))
        finally:
            await self._marionette.call("Marionette:SetContext", value="content")


@contextlib.asynccontextmanager
async def running_chromium(
    folder: Path, trusted: Sequence[x509.Certificate]
) -> AsyncIterator[Engine]:
    port = free_port()
    flags = [*FLAGS, "--headless", "--no-sandbox", trusting(trusted)]
    options = {"binary": CHROMIUM, "args": flags}
    command = ["chromedriver", f"--port={port}"]
    async with _running(command, folder / "chromium.log", accepts(port)) as program:
        driver = f"http://127.0.0.1:{port}"
        yield DriverEngine(program, driver, {"goog:chromeOptions": options})


@contextlib.asynccontextmanager
async def running_firefox(
    folder: Path, trusted: Sequence[x509.Certificate]
) -> AsyncIterator[Engine]:
    port = free_port()
    profile = folder / "firefox"
    profile.mkdir()
    preferences = {**FIREFOX_PREFERENCES, "marionette.port": port}
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in preferences.items()]
    (profile / "user.js").write_text("".join(lines))
    command = ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile)]
    command += ["--marionette", "--remote-allow-system-access"]
    async with _running(command, folder / "firefox.log", accepts(port)):
        marionette = await Marionette.connect(port)
        try:
            capabilities = {"alwaysMatch": TIMEOUTS}
            await marionette.call("WebDriver:NewSession", capabilities=capabilities)
            engine = FirefoxEngine(marionette)
            for certificate in trusted:
                await engine.trust(certificate)
            yield engine
        finally:
            await marionette.close()


@contextlib.asynccontextmanager
async def running_webkit(folder: Path, _: Sequence[x509.Certificate]) -> AsyncIterator[Engine]:
    """It trusts every certificate: WebKitGTK knows no other way to trust one of ours."""
    port = free_port()
    options = {"binary": mini_browser(), "args": ["--automation"]}
    async with _running_display(folder) as display:
        environment = {
            "DISPLAY": display,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
        }
        command = ["WebKitWebDriver", f"--port={port}", "--host=127.0.0.1"]
        log = folder / "webkit.log"
        async with _running(command, log, accepts(port), environment) as program:
            capabilities = {"acceptInsecureCerts": True, "webkitgtk:browserOptions": options}
            yield DriverEngine(program, f"http://127.0.0.1:{port}", capabilities)


ENGINES = {"chromium": running_chromium, "firefox": running_firefox, "webkit": running_webkit}


def mini_browser() -> str:
    """The program around WebKitGTK; Debian keeps it among the libraries."""
    (found,) = Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser")
    return str(found)


@contextlib.asynccontextmanager
async def _running_display(folder: Path) -> AsyncIterator[str]:
    """A screen that exists in memory only; its name."""
    log = folder / "display.log"

    async def has_said_its_number() -> bool:
        return DISPLAY_NUMBER.search(log.read_text()) is not None

    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    async with _running(command, log, has_said_its_number):
        number = DISPLAY_NUMBER.search(log.read_text())
        assert number is not None
        yield f":{number[0]}"


@contextlib.asynccontextmanager
async def _running(
    command: Sequence[str],
    log: Path,
    is_ready: Callable[[], Awaitable[bool]],
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Program]:
    """Nothing of it outlives the block, neither its processes nor its files."""
    # Not pytest's folder: the paths of sockets may be no longer than a hundred bytes.
    with TemporaryDirectory(prefix="bff-", ignore_cleanup_errors=True) as home:
        own = {"HOME": home, "TMPDIR": home, **(environment or {})}
        program = Program(command, log, is_ready, own, with_children=True)
        try:
            await program.start()
            yield program
        finally:
            await program.stop()
