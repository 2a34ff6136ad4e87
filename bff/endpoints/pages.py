"""The few HTML pages a person can see: an error, one hop back to the application, or a button.

Text is fixed. Of a request nothing appears but what a button sends once more: judged as it will be
then, and escaped. No script, no external resource.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from string import Template
from urllib.parse import urlencode

from bff.endpoints.login import require_well_formed
from bff.endpoints.parameters import idp_of, parse_parameters
from bff.endpoints.return_url import ReturnRules
from bff.errors import (
    BadRequest,
    BffError,
    LoginError,
    LoginExpired,
    NavigationRequired,
    NotAuthenticated,
    StepUpRequired,
)
from bff.gate.problem import CONTENT_SECURITY_POLICY, Problem, step_up_url

STYLE = """
:root { color-scheme: light dark; }
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto;
  padding: 0 1.5rem; }
h1 { font-size: 1.4rem; line-height: 1.3; }
.action { display: inline-block; margin-top: 1rem; padding: .55rem 1.2rem; border-radius: .5rem;
  border: 0; font: inherit; background: #2554d8; color: #fff; text-decoration: none; }
small { display: block; margin-top: 3rem; opacity: .65; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_CSP = f"{CONTENT_SECURITY_POLICY}; style-src 'sha256-{_STYLE_HASH}'"
# Chromium holds every redirect that follows a form to form-action: the OP's, and those of whatever
# login services stand behind it, which nothing here can list.
_FORM_CSP = _CSP.replace(" form-action 'none';", "")
# What a button at the end of a login's page says once more, beside the return URL.
_LOGIN_PARAMETERS = (
    "idp",
    "iss",
    "org",
    "prompt",
    "login_hint",
    "acr_values",
    "max_age",
    "ui_locales",
)

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
$action
<small>$code · $request_id</small>
</main>
</body>
</html>
"""
)


class Pages:
    """Builds the pages. Paths are those of this gateway, never of a request. `login_params` are
    those of the OPs' own that a login may pass on."""

    def __init__(self, return_rules: ReturnRules, login_params: Iterable[str] = ()) -> None:
        self._login_parameters = (*_LOGIN_PARAMETERS, *login_params)
        self._return_rules = return_rules
        self._prefix = return_rules.own_prefix

    def error(self, error: BffError, request_id: str) -> Problem:
        """The page for a navigation that failed.

        A login that is no longer open hops on by itself: from a page of ours the browser sends its
        Strict cookie again, so `resume` can see whether another tab has finished the login.
        """
        refresh, policy = "", _CSP
        if isinstance(error, LoginExpired):
            again = {"returnUrl": self._return_rules.home, **error.again}
            resume = f"{self._prefix}/resume?{urlencode(again)}"
            action = _link(resume, "Continue")
            refresh = f'<meta http-equiv="refresh" content="0;url={escape(resume)}">\n'
        elif isinstance(error, NavigationRequired):
            action, policy = self._button(error), _FORM_CSP
        elif isinstance(error, NotAuthenticated):
            action = _link(f"{self._prefix}/login", "Log in")
        elif isinstance(error, StepUpRequired):
            action = _link(step_up_url(f"{self._prefix}/login", error), "Log in again")
        elif error.retryable and not isinstance(error, LoginError):
            action = _link(self._return_rules.home, "Try again")
        else:
            action = _link(self._return_rules.home, "Back to the application")
        body = _PAGE.substitute(
            title=escape(error.title),
            style=STYLE,
            refresh=refresh,
            action=action,
            code=error.code,
            request_id=escape(request_id),
        )
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        return Problem(error.status, headers, body.encode())

    def _button(self, error: NavigationRequired) -> str:
        """What was asked for, as a form of ours: a link would end here again in a browser whose
        service worker passes navigations on, where they look like a fetch."""
        try:
            parameters = parse_parameters(error.query)
            if error.endpoint == "logout":
                idp = idp_of(parameters)
                named = {"idp": idp} if idp is not None else {}
                again = {"sid": parameters.get("sid", ""), **named}
                return _form(f"{self._prefix}/logout", again, "Log out")
            if error.endpoint in ("login", "resume"):
                require_well_formed(parameters)
                again = {
                    name: parameters[name] for name in self._login_parameters if name in parameters
                }
                again["returnUrl"] = self._return_rules.offered_in(parameters)
                return _form(f"{self._prefix}/login", again, "Log in")
        except BadRequest:
            pass  # nothing that could be asked for once more
        return _link(self._return_rules.home, "Back to the application")


def _link(href: str, text: str) -> str:
    return f'<a class="action" href="{escape(href)}">{text}</a>'


def _form(action: str, fields: Mapping[str, str], text: str) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">\n'
        for name, value in fields.items()
    )
    button = f'<button class="action">{text}</button>'
    return f'<form method="post" action="{escape(action)}">\n{hidden}{button}\n</form>'
