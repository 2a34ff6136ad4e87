"""Files whose names change with their content, by what build tools write: they may be kept.

A wrong yes is worse than a wrong no. A file that is kept for a year although it changes can't be
called back from browsers; one that is asked for again costs a 304. So what people write is no hash:
words, dates, sizes and versions.

| tool | writes |
|---|---|
| Vite, Rollup | `assets/index-DVoHNO1Y.js`: eight of base64url |
| webpack, Create React App, Parcel | `main.8c8b8b1d.js`, `787.28cb0dcd.chunk.js`: hexadecimal |
| Angular | `main-5UYT7BK3.js`: eight of base32 |
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

_SUFFIXES = r"(?:\.[a-z0-9]+){1,3}"  # .js, .chunk.css, .js.map
_PAGES = (".html", ".htm")

_HEXADECIMAL = re.compile(rf"[.-](?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{{8,64}}{_SUFFIXES}$")
_BASE32 = re.compile(rf"-([A-Z2-7]{{8}}){_SUFFIXES}$")
_BASE64URL = re.compile(rf"(?:^|/)assets/(?:.*/)?[^/]*-([A-Za-z0-9_-]{{8}}){_SUFFIXES}$")
_RUNS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[_-]")  # AppStore: 2; 1024x768: 3; DVoHNO1Y: 6


def is_hashed(path: str) -> bool:
    """Of a path below the root, such as `assets/index-DVoHNO1Y.js`."""
    if path.endswith(_PAGES):
        return False
    if _HEXADECIMAL.search(path):
        return True
    base32, base64url = _BASE32.search(path), _BASE64URL.search(path)
    if base32 is not None and len(_RUNS.findall(base32[1])) >= 3:
        return True
    if base64url is None or base64url[1].lower() == base64url[1]:
        return False
    return len(_RUNS.findall(base64url[1])) >= 4


def matches_any(path: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns, such as `/assets/*`, fits; pages are never meant."""
    return not path.endswith(_PAGES) and any(fnmatchcase(f"/{path}", one) for one in patterns)
