"""What a browser says of a request: which page began it, for what, and whether the user meant it.

Only a browser can write these fields, so what they say is believed; one that sends none of them is
not held to them. W3C Fetch Metadata; Fetch standard, `Sec-Purpose`; HTML standard, speculative
loading.
"""

from bff.gate.head import ScannedFields

_NAVIGATE = [b"navigate"]
_OWN = [b"same-origin"]
# Of a navigation that a service worker has passed on (`respondWith(fetch(event.request))`): which
# page began it can no longer be told, the worker is our own.
_PASSED_ON = [b"empty"]
_DOCUMENT = [b"document"]
_FORM = b"application/x-www-form-urlencoded"
# `Sec-Purpose` is the standard's; the others are those of browsers before it.
_PURPOSES = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
_SPECULATIVE = (b"prefetch", b"prerender", b"preview")


def is_navigation(fields: ScannedFields) -> bool:
    """Whether a person is looking at the answer: by Fetch Metadata, else by Accept."""
    modes = fields.values(b"sec-fetch-mode")
    return modes == _NAVIGATE if modes else accepts_page(fields)


def accepts_page(fields: ScannedFields) -> bool:
    """Whether HTML is what is wanted most, as for every navigation."""
    return any(value.startswith(b"text/html") for value in fields.values(b"accept"))


def is_speculative(fields: ScannedFields) -> bool:
    """Whether the browser asks before the user does: a prefetch, a prerendering, a preview."""
    return any(
        word in value.lower()
        for name in _PURPOSES
        for value in fields.values(name)
        for word in _SPECULATIVE
    )


def is_top_level_navigation(fields: ScannedFields) -> bool:
    """Whether the answer becomes a page of its own, in no frame, because the user went there."""
    sites = fields.values(b"sec-fetch-site")
    modes = fields.values(b"sec-fetch-mode")
    purposes = fields.values(b"sec-fetch-dest")
    return (
        modes in ([], _NAVIGATE)
        and (purposes in ([], _DOCUMENT) or (purposes == _PASSED_ON and sites == _OWN))
        and not is_speculative(fields)
    )


def is_own_navigation(fields: ScannedFields) -> bool:
    """The same, begun by our own pages or by the user: typed, bookmarked, restored."""
    return fields.values(b"sec-fetch-site") in ([], _OWN, [b"none"]) and is_top_level_navigation(
        fields
    )


def is_begun_here(fields: ScannedFields) -> bool:
    """Whether the browser says that a page of ours began this: not typed, and no other site's."""
    return fields.values(b"sec-fetch-site") == _OWN


def is_typed(fields: ScannedFields) -> bool:
    """Whether the user entered the URL, or opened a bookmark: no page of any site can do this."""
    return (
        fields.values(b"sec-fetch-site") == [b"none"]
        and fields.values(b"sec-fetch-mode") == _NAVIGATE
        and not fields.values(b"origin")
    )


def is_form(fields: ScannedFields) -> bool:
    """Whether the body is a form's."""
    types = fields.values(b"content-type")
    return len(types) == 1 and types[0].partition(b";")[0].strip().lower() == _FORM
