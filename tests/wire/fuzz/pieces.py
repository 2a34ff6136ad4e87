"""What messages are made of, good and bad, and how they are put together and damaged.

Everything comes from a `random.Random`, so that a seed names a case, and hypothesis can be the one
that chooses.
"""

from random import Random

METHODS = [
    "GET",
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "HEAD",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "get",
    "G\tT",
]
TARGETS = [
    "/api/x", "/api/y?q=1", "/api/%C3%A4", "/api", "/api/", "/api/../x", "/api//x", "/api/%2e", "/",
    "/api/x#f", "*", "http://HOST/api/z", "http://evil/api/z", "/bff/user", "/nowhere", "/api/x y",
]  # fmt: skip
VERSIONS = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", ""]
FIELDS = [
    "Accept: */*", "X-A: 1", "X-A: 2", "X_A: 3", "X-Long: " + "l" * 300, "X-Empty:", "X-Tab:\ta\t",
    "Connection: close", "Connection: keep-alive", "Connection: X-A, close", "TE: trailers",
    "Expect: 100-continue", "Upgrade: websocket", "Trailer: X-T", "Keep-Alive: 5", "X-High: \xe9",
    "Transfer-Encoding: chunked", "Content-Length: 0", "Content-Length: 5", "Content-Length: 5, 5",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Host: evil", "X Y: 1",
    "X-F: 1\r\n folded", ": none", "no colon", "X-C : 1", "X-N: a\0b", "X-R: a\rb", "X-L: a\nY: b",
    "Content-Type: text/plain", "Authorization: Bearer forged", "Via: 1.1 x", "Forwarded: for=x",
]  # fmt: skip
STATUSES = [
    "200 OK", "200 OK", "200 OK", "201 Created", "204 No Content", "304 Not Modified", "200",
    "404 Not Found", "500 Oh", "100 Continue", "103 Early Hints", "101 Switching Protocols",
    "099 X", "999 X", "2000 X", "20 X", "-1 X", "200 \xe9", "200 a\tb",
]  # fmt: skip
BODIES = ["", "hello", "x" * 1000, "GET /api/inner HTTP/1.1\r\nHost: HOST\r\n\r\n", "0\r\n\r\n"]
INTERESTING = [
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b";", b",", b"0", b"5", b"-",
    b"\x0b", b"\xff", b"\x80", b"HTTP/1.1", b"Content-Length: 3\r\n", b"\r\n ", b"\n\n",
    b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"ffffffffffffffff",
]  # fmt: skip
LONG = 500


def request(random: Random, ours: str) -> bytes:
    """One request, more often good than bad. `ours` are the lines that make it a user's."""
    method = random.choice(METHODS) if random.random() < 0.5 else random.choice(METHODS[:6])
    target = random.choice(TARGETS) if random.random() < 0.4 else random.choice(TARGETS[:3])
    version = random.choice(VERSIONS) if random.random() < 0.2 else "HTTP/1.1"
    lines = [ours] if random.random() < 0.97 else []
    lines += [f"{random.choice(FIELDS)}\r\n" for _ in range(_few(random))]
    body = _body(random, lines)
    random.shuffle(lines)
    text = f"{method} {target} {version}\r\n{''.join(lines)}\r\n"
    return text.encode("latin-1") + body


def response(random: Random, name: str) -> bytes:
    """One answer, more often good than bad. `name` is in its body, if it has one."""
    status = random.choice(STATUSES) if random.random() < 0.3 else random.choice(STATUSES[:6])
    version = random.choice(VERSIONS) if random.random() < 0.15 else "HTTP/1.1"
    fields = [field for field in FIELDS if not field.startswith("Upgrade")]
    count = _few(random) if random.random() < 0.3 else 0
    lines = [f"X-Case: {name}\r\n"] + [f"{random.choice(fields)}\r\n" for _ in range(count)]
    body = _body(random, lines, name)
    random.shuffle(lines)
    return f"{version} {status}\r\n{''.join(lines)}\r\n".encode("latin-1") + body


def _few(random: Random) -> int:
    return random.choice([0, 0, 0, 1, 1, 2, 4])


def _body(random: Random, lines: list[str], name: str = "") -> bytes:
    """A body, framed by a line that is added, and now and then wrongly."""
    body = (name + random.choice(BODIES)).encode("latin-1")
    kind = random.random()
    if kind < 0.3:
        return b""
    if kind < 0.65:
        length = len(body) if random.random() < 0.93 else max(0, len(body) + random.choice((-1, 1)))
        lines.append(f"Content-Length: {length}\r\n")
        return body
    lines.append("Transfer-Encoding: chunked\r\n")
    return _chunked(random, body)


def _chunked(random: Random, body: bytes) -> bytes:
    out = b""
    while body:
        size = random.randint(1, len(body))
        extension = random.choice([b"", b"", b"", b";a", b";a=b", b';a="\\""', b" ;a", b";\n"])
        digits = b"%x" % size if random.random() < 0.9 else b"%04X" % size
        if random.random() < 0.02:
            digits = random.choice([b"", b"-1", b"+2", b"0x2", b"%x" % (size + 1), b"f" * 17])
        out += digits + extension + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    trailer = random.choice([b"", b"", b"", b"X-T: 1\r\n", b"Content-Length: 3\r\n", b"bad\r\n"])
    return out + b"0\r\n" + trailer + b"\r\n"


def damaged(random: Random, data: bytes) -> bytes:
    """The same with one to three places changed."""
    for _ in range(random.randint(1, 3)):
        at = random.randint(0, len(data))
        upto = min(len(data), at + random.choice((1, 1, 1, 2, 8)))
        change = random.randrange(5)
        if change == 0:
            data = data[:at] + data[upto:]
        elif change == 1:
            data = data[:at] + random.choice(INTERESTING) + data[at:]
        elif change == 2:
            data = data[:at] + random.choice(INTERESTING) + data[upto:]
        elif change == 3:
            data = data[:at] + bytes([random.randrange(256)]) + data[upto:]
        else:
            data = data[:upto] + data[at:upto] + data[upto:]
    return data


def split(random: Random, data: bytes) -> list[bytes]:
    """The same in pieces: all of it, a few, or every byte by itself."""
    kind = random.random()
    if kind < 0.5 or len(data) < 2:
        return [data]
    if kind > 0.97 and len(data) < LONG:
        return [bytes([byte]) for byte in data]
    cuts = sorted({random.randrange(1, len(data)) for _ in range(random.randint(1, 5))})
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
