"""The request that every measurement sends.

It is what a browser's `fetch` sends to its own origin, behind a reverse proxy that adds three
fields. With Host and Cookie it has 18 header fields.
"""

FIELDS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36",
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-US,en;q=0.9,de;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "X-CSRF": "1",
    "Referer": "https://app.example.com/listings?page=2",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "sec-ch-ua": '"Chromium";v="126", "Not/A)Brand";v="8"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "app.example.com",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}

OTHER_COOKIES = "theme=dark; _ga=GA1.2.1234567890.1700000000; "


def cookie_field(cookie: str) -> str:
    """The Cookie field's value: the session's among those every site has."""
    return OTHER_COOKIES + cookie if cookie else OTHER_COOKIES.rstrip("; ")


def request_bytes(
    host: str, cookie: str, *, method: str = "GET", path: str, more: str = ""
) -> bytes:
    """The head, as it goes over the wire. `more` are further field lines, with their CRLF."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in FIELDS.items())
    field = cookie_field(cookie)
    return (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Cookie: {field}\r\n{more}\r\n"
    ).encode()
