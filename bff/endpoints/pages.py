"""The few HTML pages a person can see: an error, or one hop back to the application.

Text is fixed; nothing that came in with a request appears in it. No script, no external resource.
"""

import base64
import hashlib
from html import escape
from string import Template

from bff.errors import BffError, LoginError, LoginExpired, NavigationRequired, NotAuthenticated
from bff.gate.problem import CONTENT_SECURITY_POLICY, Problem

STYLE = """
:root { color-scheme: light dark; }
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto;
  padding: 0 1.5rem; }
h1 { font-size: 1.4rem; line-height: 1.3; }
a.action { display: inline-block; margin-top: 1rem; padding: .55rem 1.2rem; border-radius: .5rem;
  background: #2554d8; color: #fff; text-decoration: none; }
small { display: block; margin-top: 3rem; opacity: .65; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_CSP = f"{CONTENT_SECURITY_POLICY}; style-src 'sha256-{_STYLE_HASH}'"

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
$refresh<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
<a class="action" href="$href">$action</a>
<small>$code · $request_id</small>
</main>
</body>
</html>
"""
)


class Pages:
    """Builds the pages. Paths are those of this gateway, never of a request."""

    def __init__(self, *, login_path: str, resume_path: str) -> None:
        self._login_path = login_path
        self._resume_path = resume_path

    def error(self, error: BffError, request_id: str) -> Problem:
        """The page for a navigation that failed.

        A login that is no longer open hops on by itself: from a page of ours the browser sends its
        Strict cookie again, so `resume` can see whether another tab has finished the login.
        """
        href, action, refresh = "/", "Back to the application", ""
        if isinstance(error, LoginExpired):
            href, action = self._resume_path, "Continue"
            refresh = f'<meta http-equiv="refresh" content="0;url={escape(href)}">\n'
        elif isinstance(error, NotAuthenticated | NavigationRequired):
            href, action = self._login_path, "Log in"
        elif isinstance(error, LoginError):
            action = "Back to the application"
        elif error.retryable:
            action = "Try again"
        body = _PAGE.substitute(
            title=escape(error.title),
            style=STYLE,
            refresh=refresh,
            href=escape(href),
            action=action,
            code=error.code,
            request_id=escape(request_id),
        )
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": _CSP,
        }
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        return Problem(error.status, headers, body.encode())
