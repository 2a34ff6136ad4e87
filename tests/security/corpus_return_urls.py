"""Return URLs that lead away, or might in some browser, by the trick they use.

`app.example` is the application. RFC 9700 section 4.11.1; WHATWG URL standard, section 4.4.
"""

from itertools import product

# Read as a path they are a page of ours, and it is said in full where it is.
SCHEME_RELATIVE = [
    "//evil", "///evil", "////evil", "//evil/", "//evil@app.example",
    "//app.example@evil", "//app.example.evil", "//app.example:80@evil", "//app.example/",
    "//evil?x=/app.example", "//evil#app.example", "//[::1]/", "//0x7f000001/", "//2130706433/",
]  # fmt: skip

# Browsers read a backslash as a slash, and drop tab, CR and LF wherever they stand.
SLASHES = ["/", "\\", "/\t", "/\n", "/\r", "/\t\n", "\t/", "\r\n/"]
MIXED_SLASHES = [
    f"{one}{two}evil" for one, two in product(SLASHES, SLASHES) if (one, two) != ("/", "/")
]

ENCODED = [
    "/%09/evil",
    "/%0a/evil", "/%0d/evil", "/%0d%0aLocation:%20//evil", "/%0d%0aSet-Cookie:x=y", "/%00/evil",
    "%2f%2fevil", "%2f/evil", "/%c0%af/../evil", "/%c0%af/evil",
    "/%2e%2e/evil", "/%2e%2e//evil", "/x/%2e%2e/%2e%2e//evil", "/x/%2E/y", "/.%2e/x", "/%7f",
]  # fmt: skip

DOT_SEGMENTS = [
    "/..//evil", "/.//evil", "/./evil", "/../evil", "/x/..//evil", "/x/../..//evil", "/.", "/..",
    "/..;//evil", "//evil/%2f..", "//evil%2f..", "/.\\evil", "/..\\evil", "/x/./y",
]  # fmt: skip

SCHEMES = [
    "https:evil", "https:/evil", "https:///evil", "https://evil", "HTTPS://evil", "http://evil",
    "hTTps:\\\\evil", "https:\\evil", "http:app.example", "ftp://evil", "ws://evil", "blob:x",
    "javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "javascript://app.example/%0aalert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
    "about:blank", "view-source:https://evil", "mailto:x@evil", ":evil", "://evil",
]  # fmt: skip

USER_INFO = [
    "https://app.example@evil/", "https://app.example:443@evil/", "https://app.example%40evil/",
    "https://evil\\@app.example/", "https://evil#@app.example/", "https://evil?@app.example/",
    "https://user@app.example/", "https://user:pw@app.example/", "https://@app.example/",
]  # fmt: skip

LOOK_ALIKES = [
    "https://app.example.evil/", "https://evilapp.example/", "https://app.example-evil/",
    "https://app.exampleevil/", "https://app.example.", "https://app.example./", "https://app.exampl",
    "https://app.example:444/", "https://app.example:", "https://app.example:80/",
    "http://app.example/", "https://sub.app.example/", "https://example/", "https://app.example",
    "https://app.example%00.evil/", "https://app.example%2eevil/", "https://app.example\\.evil/",
    "https://app.example;evil/", "https://app.example&evil/", "https://app.example,evil/",
    "https://APP.EXAMPLE.evil/",
]  # fmt: skip

UNICODE = [
    "/\u2028evil", "/\u2029evil", "/\u00a0/evil", "/\u200b/evil", "/\ufeff/evil", "/\u3000/evil",
    "/\uff0fevil", "/\u2215evil", "/\u2044evil", "/\u29f8evil", "/\uff3cevil", "/\u202e/live",
    "\u3000//evil", "/ä", "/\U0001f600", "https://app\u3002example/", "https://app\uff0eexample/",
    "https://\u0430pp.example/", "https://xn--pp-7ka.example/", "https://app.ex\u00e4mple/",
    "https://app.examp\u0131e/", "https://\u24d0pp.example/", "/\ud800",
]  # fmt: skip

SPACES_AND_CONTROLS = [
    " /items", "/items ", "\t/items", "\n//evil", "\r\n//evil", "\x00//evil", "/\x00/evil",
    "/x\r\nX: y",
    "/x\x7f", "/\x0b/evil", "/\x0c/evil", "/a b", "\x1f/items", "/items\n", "/items\t",
]  # fmt: skip

NOT_A_PATH = [
    "", "items", "?x", "#x", "evil.example", "@evil", ".", "..", "*", "a/b", "\\", "null",
    "undefined", "[object Object]", "/" + "a" * 4096,
]  # fmt: skip

OUR_ENDPOINTS = [
    "/bff", "/bff/", "/bff/login", "/bff/logout", "/bff/logout?sid=x",
    "/bff/callback?code=c&state=s",
    "/bff/login?returnUrl=//evil", "/bff#x", "/bff?x", "https://app.example/bff/logout", "/bff/x#y",
    "/bff//logout", "/b%66f/logout", "/bff/%6cogout", "/x/../bff/logout", "//bff/logout",
    "/bff%2Flogout", "/%2562ff/logout", "/bff;x/logout", "/x/..%2Fbff/logout", "/bff%5Clogout",
]  # fmt: skip

FRAGMENTS = ["/x#a\nb", "/x#a b", "/x#\u2028", "/x#\x7f", "/x#\x00"]

GO_HOME = {
    "mixed slashes": MIXED_SLASHES,
    "encoded": ENCODED,
    "dot segments": DOT_SEGMENTS,
    "schemes": SCHEMES,
    "user info": USER_INFO,
    "look-alikes": LOOK_ALIKES,
    "unicode": UNICODE,
    "spaces and controls": SPACES_AND_CONTROLS,
    "not a path": NOT_A_PATH,
    "our own endpoints": OUR_ENDPOINTS,
    "fragments": FRAGMENTS,
}

# Pages that an application may have, with a second reading.
DOUBTFUL = [
    "/%2fevil", "/%2Fevil", "/%2f/evil", "/%5cevil", "/%5Cevil", "/%5c%5cevil", "/%252fevil",
    "/%252f/evil", "/%255cevil", "/%68ttp://evil", "/%3b/evil", "/;//evil", "/x//evil", "/x//",
    "/heroes;id=15", "/files/a%2Fb?x=1#y", "/x/50%25", "/x/50%", "/a/%7Euser", "/x/a|b^c", "//x",
]  # fmt: skip

# Said as absolute URLs of the application, which no reading takes elsewhere.
SAID_IN_FULL = {url: f"https://app.example{url}" for url in SCHEME_RELATIVE + DOUBTFUL}

KEPT = {
    "/items": "/items",
    "/items/7?tab=a%20b&x=/y": "/items/7?tab=a%20b&x=/y",
    "/items?next=//evil": "/items?next=//evil",
    "/items#top": "/items#top",
    "/items?x#a/b?c": "/items?x#a/b?c",
    "/#//evil": "/#//evil",
    "/?//evil": "/?//evil",
    "/?\\evil": "/?\\evil",
    "/%C3%A4": "/%C3%A4",
    "/bffx": "/bffx",
    "/BFF/logout": "/BFF/logout",
    "/@evil": "/@evil",
    "/evil.example": "/evil.example",
    "/https://evil".replace("//", "/"): "/https:/evil",
    "https://app.example/": "/",
    "https://app.example/items?x=1#y": "/items?x=1#y",
    "https://app.example//evil": "https://app.example//evil",
    **SAID_IN_FULL,
}
