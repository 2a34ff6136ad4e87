"""Request targets by how they must be read. Pure data: bytes as they come off the wire."""

from itertools import product

DOTS = [b"..", b"%2e%2e", b"%2E%2e", b".%2e", b"%2e.", b"%252e%252e", b"%c0%2e%c0%2e"]
SLASHES = [b"/", b"%2f", b"%2F", b"\\", b"%5c", b"%5C", b"%252f", b"%255c"]

# Every way out of a prefix that a server may decode to `..` and a separator.
TRAVERSALS = [
    b"/api" + before + dots + after + b"admin"
    for dots, before, after in product(DOTS, (b"/", b"%2f", b"\\"), SLASHES)
]

SINGLE_DOTS = [
    b"/api/./x", b"/api/.", b"/./api", b"/.", b"/api/%2e/x", b"/api/%2E", b"/api/.%2f", b"/%2e/api",
]  # fmt: skip

PARAMETERS = [
    b"/api/..;/admin", b"/api/..;x=y/admin", b"/api/.;/admin", b"/api;/../admin", b"/api/;/admin",
    b"/api/a;b=c/d", b"/api/a;", b"/;/api", b"/api/a%3bb", b"/api/..%3b/admin", b"/api/%3B",
    b"/api;jsessionid=1",
]  # fmt: skip

EMPTY_SEGMENTS = [
    b"//api/x", b"///api", b"/api//x", b"/api/x//", b"//", b"/api///x", b"//evil.example/",
    b"//@evil.example/", b"/api//../x",
]  # fmt: skip

# One byte, two spellings: a server that compares before it decodes sees another path.
ENCODED_LETTERS = [b"/api/%%%02x" % byte for byte in b"azAZ09-._~"] + [
    b"/%61pi/x", b"/ap%69/x", b"/api/%61dmin", b"/%62ff/login", b"/bf%66/login", b"/bff/l%6Fgin",
    b"/api/%7Euser",
]  # fmt: skip

ENCODED_CONTROLS = [b"/api/a%%%02X" % byte for byte in (*range(0x20), 0x7F)]
RAW_BYTES = [b"/api/a" + bytes([byte]) + b"b" for byte in (*range(0x21), 0x7F, 0x80, 0xC0, 0xFF)]
RAW_DELIMITERS = [b"/api/a" + bytes([byte]) + b"b" for byte in b'#\\"<>^`{};']

BROKEN_ESCAPES = [
    b"/api/a%", b"/api/a%2", b"/api/%zz", b"/api/%2z", b"/api/%z2", b"/api/%%", b"/api/%%20",
    b"/api/%u002e", b"/api/%u2215", b"/api/% 20", b"/api/%+2", b"/api/%0x", b"/api/%2%66",
    b"/api/%-1",
]  # fmt: skip

DOUBLE_ENCODED = [
    b"/api/%25", b"/api/%252e", b"/api/%25%32%65", b"/api/%2525", b"/api/%25zz", b"/api/%2500",
]  # fmt: skip

OVERLONG = [
    b"/api/%c0%ae%c0%ae/x", b"/api/%C0%AF/x", b"/api/%C1%9C", b"/api/%e0%80%ae", b"/api/%E0%80%AF",
    b"/api/%f0%80%80%ae", b"/api/%f8%80%80%80%af", b"/api/%fc%80%80%80%80%ae",
]  # fmt: skip

UNICODE = [
    "/api/ä".encode(), "/api/\u2024\u2024/x".encode(), "/api/\uff0e\uff0e/x".encode(),
    "/api\uff0fx".encode(), "/api/\u2028x".encode(), "/api/\u202ex".encode(),
    b"/api/\xc0\xae\xc0\xae/x", b"/api/\xe0\x80\xaf",
]  # fmt: skip

REFUSED = {
    "traversal": TRAVERSALS,
    "a single dot": SINGLE_DOTS,
    "path parameters": PARAMETERS,
    "empty segments": EMPTY_SEGMENTS,
    "encoded letters": ENCODED_LETTERS,
    "encoded controls": ENCODED_CONTROLS,
    "raw bytes": RAW_BYTES,
    "raw delimiters": RAW_DELIMITERS,
    "broken escapes": BROKEN_ESCAPES,
    "double encoding": DOUBLE_ENCODED,
    "overlong": OVERLONG,
    "unicode": UNICODE,
}

# Of these no reading is a path of `/api` or `/bff`, so that they may be pages of an application.
PAGES = [b"//", b"//evil.example/", b"//@evil.example/"]

# Neither origin-form nor absolute-form (RFC 9112 section 3.2), or an authority that is none.
NO_TARGET = [
    b"", b"*", b"api/x", b"?x", b"evil:443", b"ftp://evil/", b"file:///etc/passwd", b"http:///x",
    b"http://user@evil/x", b"http://user:pw@evil/x", b"http://evil:port/x", b"http://evil:/x",
    b"http://evil:123456/x", b"http:/evil/x", b"http:evil", b"javascript:alert(1)", b"data:,x",
    b"http://ev il/x", b"http://evil\\@app/x", b"http://[::1/x", b"http://[evil]/x", b"://evil/x",
    b"\\\\evil\\x", b" /api/x", b"\t/api/x", b"ws://evil/x", b"http://evil#/x", b"http://\xc3\xa4/x",
]  # fmt: skip

# These have one reading, and are forwarded as they are.
KEPT = [
    b"/", b"/api", b"/api/", b"/api/a/b/c", b"/api/...", b"/api/.hidden", b"/api/.well-known/x",
    b"/api/a..b", b"/api/..a", b"/api/a..", b"/api/%20", b"/api/a%20b", b"/api/%C3%A4",
    b"/api/%c3%a4", b"/api/a%23b", b"/api/a%3fb", b"/api/a%3Ab", b"/api/%40", b"/api/a%2Cb",
    b"/api/%22x%22", b"/api/%3Cx%3E", b"/api/%5B1%5D", b"/api/%7B%7D", b"/api/x:y@z",
    b"/api/@evil", b"/api/a,b", b"/api/!$&'()*+,=~_-", b"/api/[1]|x", b"/api/%E2%80%A6",
    b"/api/%FF", b"/api/%E0%A4%85", b"/api/%F0%9F%98%80", b"/api/%E0", b"/api/%C0x",
    b"/api/http:evil", b"/api/a%26b%3Dc",
]  # fmt: skip
