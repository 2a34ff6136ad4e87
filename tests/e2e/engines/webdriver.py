"""WebDriver as far as the tests need it (W3C WebDriver, classic): a browser, its tabs, cookies.

The commands are sent by a `Transport`: over HTTP to a driver program, or straight to Firefox
(`tests.e2e.engines.marionette`). Nothing here knows the application.
"""

from typing import Any, NamedTuple, Protocol

import aiohttp

from tests.polling import HANG_SECONDS, until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # section 12.1: the key of an element's reference
TIMEOUT = aiohttp.ClientTimeout(total=HANG_SECONDS)
POLL_SECONDS = 0.05


class Command(NamedTuple):
    """How it is called over HTTP, below the session, and in Firefox's own protocol."""

    method: str
    path: str
    marionette: str


NAVIGATE = Command("POST", "/url", "Navigate")
CURRENT_URL = Command("GET", "/url", "GetCurrentURL")
BACK = Command("POST", "/back", "Back")
REFRESH = Command("POST", "/refresh", "Refresh")
EXECUTE = Command("POST", "/execute/sync", "ExecuteScript")
EXECUTE_ASYNC = Command("POST", "/execute/async", "ExecuteAsyncScript")
FIND_ELEMENT = Command("POST", "/element", "FindElement")
CLICK = Command("POST", "/element/{id}/click", "ElementClick")
SEND_KEYS = Command("POST", "/element/{id}/value", "ElementSendKeys")
COOKIES = Command("GET", "/cookie", "GetCookies")
NEW_WINDOW = Command("POST", "/window/new", "NewWindow")
CLOSE_WINDOW = Command("DELETE", "/window", "CloseWindow")
WINDOWS = Command("GET", "/window/handles", "GetWindowHandles")
SWITCH = Command("POST", "/window", "SwitchToWindow")
END_SESSION = Command("DELETE", "", "DeleteSession")


class WebDriverError(Exception):
    """The browser could not do it. `code` is one of WebDriver section 6.6."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


# What a command may meet while a page gives way to the next one, or is still being built.
PASSING = frozenset(
    {
        "element click intercepted",
        "element not interactable",
        "javascript error",
        "no such element",
        "no such execution context",
        "no such frame",
        "no such window",
        "stale element reference",
    }
)


class Transport(Protocol):
    """Carries commands to one browser session."""

    async def send(self, command: Command, **arguments: object) -> Any:
        """The command's result.

        Raises:
            WebDriverError: the browser refuses, or fails.
        """
        ...


class HttpTransport:
    """A session at a driver program. Ended by `END_SESSION`, which closes the browser."""

    def __init__(self, http: aiohttp.ClientSession, session_url: str) -> None:
        self._http = http
        self._url = session_url

    @classmethod
    async def open(
        cls, http: aiohttp.ClientSession, driver: str, capabilities: dict[str, object]
    ) -> "HttpTransport":
        """Start a browser with a fresh profile. `driver` is the program's origin."""
        body = {"capabilities": {"alwaysMatch": capabilities}}
        session = await _exchange(http, "POST", f"{driver}/session", body)
        return cls(http, f"{driver}/session/{session['sessionId']}")

    async def send(self, command: Command, **arguments: object) -> Any:
        path = command.path.format(**arguments)
        body = arguments if command.method == "POST" else None
        return await _exchange(self._http, command.method, self._url + path, body)


class Browser:
    """One profile of a running browser."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._current = ""

    async def tabs(self) -> "list[Tab]":
        """Those that are open; a new profile has one."""
        return [Tab(self, handle) for handle in await self._transport.send(WINDOWS)]

    async def new_tab(self) -> "Tab":
        """Opened beside the tab that was used last, if that is still there."""
        if not self._current:
            await (await self.tabs())[0].look_at()
        made = await self._transport.send(NEW_WINDOW, type="tab")
        return Tab(self, made["handle"])

    async def look_at(self, handle: str) -> None:
        """All further commands go to that tab."""
        if handle != self._current:
            await self._transport.send(SWITCH, handle=handle)
            self._current = handle

    async def close(self, handle: str) -> None:
        await self.look_at(handle)
        await self._transport.send(CLOSE_WINDOW)
        self._current = ""

    async def send(self, command: Command, **arguments: object) -> Any:
        return await self._transport.send(command, **arguments)


class Tab:
    """One tab. Elements are named by CSS selectors; what is not there yet is waited for."""

    def __init__(self, browser: Browser, handle: str) -> None:
        self.browser = browser
        self._handle = handle

    async def look_at(self) -> None:
        await self.browser.look_at(self._handle)

    async def open(self, url: str) -> None:
        """As from the address bar."""
        await self._send(NAVIGATE, url=url)

    async def url(self) -> str:
        return str(await self._send(CURRENT_URL))

    async def reload(self) -> None:
        await self._send(REFRESH)

    async def back(self) -> None:
        await self._send(BACK)

    async def close(self) -> None:
        await self.browser.close(self._handle)

    async def cookies(self) -> dict[str, dict[str, Any]]:
        """Those that go with the current document's requests, by name, HttpOnly ones included."""
        return {cookie["name"]: cookie for cookie in await self._send(COOKIES)}

    async def run(self, body: str, *arguments: object) -> Any:
        """The result of a script in the page: the body of an async function of `args`.

        Raises:
            WebDriverError: with the text of what the script has thrown, among others.
        """
        script = f"""
          const args = [...arguments], done = args.pop();
          (async () => {{ {body} }})().then(
            (value) => done({{ value: value === undefined ? null : value }}),
            (error) => done({{ error: `${{error.name}}: ${{error.message}}` }}),
          );
        """
        result = await self._send(EXECUTE_ASYNC, script=script, args=list(arguments))
        if "error" in result:
            raise WebDriverError("javascript error", str(result["error"]))
        return result["value"]

    async def leave_by(self, statement: str, *arguments: object) -> None:
        """Run a statement that leaves the page, so that no result could come back."""
        script = f"const args = [...arguments]; setTimeout(() => {{ {statement} }});"
        await self._send(EXECUTE, script=script, args=list(arguments))

    async def text(self, selector: str) -> str | None:
        """What a person reads there; None where nothing is to be seen."""
        script = """
          const found = document.querySelector(arguments[0]);
          return found && found.getClientRects().length ? found.innerText.trim() : null;
        """
        text = await self._send(EXECUTE, script=script, args=[selector])
        return None if text is None else str(text)

    async def expect_text(self, selector: str, text: str) -> None:
        """Wait until it reads so, or holds this."""
        await self._until(lambda found: found is not None and text in found, selector, text)

    async def expect_shown(self, selector: str) -> None:
        await self._until(lambda found: found is not None, selector, "anything")

    async def expect_hidden(self, selector: str) -> None:
        await self._until(lambda found: found is None, selector, "nothing")

    async def expect_url(self, url: str) -> None:
        """Wait for an address that starts so."""

        async def is_there() -> bool:
            return (await self.url()).startswith(url)

        try:
            await until(is_there, every=POLL_SECONDS)
        except TimeoutError:
            raise AssertionError(f"at {await self.url()}, not at {url}") from None

    async def click(self, selector: str) -> None:
        """As soon as it can be clicked."""

        async def is_clicked() -> bool:
            return await self._element_takes(selector, CLICK)

        await until(is_clicked, every=POLL_SECONDS)

    async def fill(self, selector: str, text: str) -> None:
        async def is_filled() -> bool:
            return await self._element_takes(selector, SEND_KEYS, text=text)

        await until(is_filled, every=POLL_SECONDS)

    async def _element_takes(self, selector: str, command: Command, **arguments: object) -> bool:
        try:
            found = await self._send(FIND_ELEMENT, using="css selector", value=selector)
            await self._send(command, id=found[ELEMENT], **arguments)
        except WebDriverError as error:
            if error.code in PASSING:
                return False
            raise
        return True

    async def _until(self, holds: "Check", selector: str, wanted: str) -> None:
        async def is_so() -> bool:
            try:
                return holds(await self.text(selector))
            except WebDriverError as error:
                if error.code in PASSING:
                    return False
                raise

        try:
            await until(is_so, every=POLL_SECONDS)
        except TimeoutError:
            page = await self.text("body")
            raise AssertionError(
                f"{selector} does not show {wanted!r} at {await self.url()}:\n{page}"
            ) from None

    async def _send(self, command: Command, **arguments: object) -> Any:
        await self.look_at()
        return await self.browser.send(command, **arguments)


class Check(Protocol):
    def __call__(self, found: str | None, /) -> bool: ...


async def _exchange(
    http: aiohttp.ClientSession, method: str, url: str, body: dict[str, Any] | None
) -> Any:
    async with http.request(method, url, json=body, timeout=TIMEOUT) as answer:
        value = (await answer.json(content_type=None))["value"]
    if answer.status >= 400:
        raise WebDriverError(value["error"], value["message"])
    return value
