"""The OP's HTML: login, consent, account, confirmation of a logout, errors.

Pure functions from values to text. Every value is escaped; no script, no external resource.
"""

from collections.abc import Iterable, Sequence
from html import escape

from spa_demo.op.records import OpSession
from spa_demo.op.settings import SECOND_STEP_CODE, User
from spa_demo.op.style import CSS

SCOPE_TEXTS = {
    "openid": "Know who you are",
    "profile": "See your name and user name",
    "email": "See your e-mail address",
    "offline_access": "Stay signed in after you have left",
    "api:read": "Read the shared notes",
    "api:write": "Add and delete notes in your name",
}


def login_page(
    *,
    action: str,
    form_token: str,
    users: Sequence[User],
    chosen: str,
    client: str,
    failed: bool,
    second_step: bool = False,
) -> str:
    """The login form. Passwords and code are printed: the accounts are public by design."""
    code = _CODE_FIELD if second_step else ""
    accounts = "".join(_account_choice(user, checked=user.sub == chosen) for user in users)
    alert = '<p role="alert">User name, password or code do not match.</p>' if failed else ""
    return _layout(
        "Sign in",
        f"""
<h1>Sign in</h1>
<p>to continue to <strong>{escape(client)}</strong></p>
{alert}
<form method="post" action="{escape(action)}" id="login">
  {_hidden("form_token", form_token)}
  <fieldset><legend>Demo account</legend>{accounts}</fieldset>
  <label class="field" for="password">Password</label>
  <input id="password" type="password" name="password" autocomplete="current-password" autofocus>
  {code}
  <div class="actions">
    <button name="decision" value="login">Sign in</button>
    <button class="quiet" name="decision" value="cancel">Cancel</button>
  </div>
</form>""",
    )


def consent_page(
    *, action: str, form_token: str, session: OpSession, client: str, scope: str
) -> str:
    """The consent form, with each scope that would be granted."""
    items = "".join(
        f"<li>{escape(SCOPE_TEXTS.get(token, token))}<code>{escape(token)}</code></li>"
        for token in scope.split()
    )
    return _layout(
        "Allow access",
        f"""
<h1>Allow access?</h1>
<p><strong>{escape(client)}</strong> asks, on behalf of
<strong>{escape(session.user.name)}</strong>, to:</p>
<ul class="scopes">{items}</ul>
<form method="post" action="{escape(action)}" id="consent">
  {_hidden("form_token", form_token)}
  <div class="actions">
    <button name="decision" value="allow">Allow</button>
    <button class="quiet" name="decision" value="cancel">Cancel</button>
    <button class="link" name="decision" value="switch">Not {escape(session.user.name)}?
      Use another account</button>
  </div>
</form>""",
    )


def device_page(
    *,
    action: str,
    form_token: str,
    users: Sequence[User],
    user_code: str,
    client: str,
    alert: str,
) -> str:
    """The form for the code that a device shows. `client` is empty while the code is not known."""
    accounts = "".join(_account_choice(user, checked=user is users[0]) for user in users)
    told = f'<p role="alert">{escape(alert)}</p>' if alert else ""
    asks = f"<p>It signs you in to <strong>{escape(client)}</strong>.</p>" if client else ""
    return _layout(
        "Sign in at a device",
        f"""
<h1>Sign in at a device</h1>
<p>Is this the code that <strong>your own</strong> device shows? Allow no other.</p>
{asks}{told}
<form method="post" action="{escape(action)}" id="device">
  {_hidden("form_token", form_token)}
  <label class="field" for="user_code">Code</label>
  <input id="user_code" name="user_code" value="{escape(user_code)}" autocomplete="off">
  <fieldset><legend>Demo account</legend>{accounts}</fieldset>
  <label class="field" for="password">Password</label>
  <input id="password" type="password" name="password" autocomplete="current-password">
  <div class="actions">
    <button name="decision" value="allow">Allow</button>
    <button class="quiet" name="decision" value="deny">Deny</button>
  </div>
</form>""",
    )


def account_page(*, form_token: str, session: OpSession, session_count: int) -> str:
    """The user who is signed in, the clients, and the ways to sign out."""
    clients = ", ".join(sorted(session.client_ids)) or "none yet"
    return _layout(
        "Your account",
        f"""
<h1>{escape(session.user.name)}</h1>
<p>{escape(session.user.email)}. Applications in this session: {escape(clients)}.
Sessions in all browsers: {session_count}.</p>
<form method="post" action="/account/sign-out" id="sign-out">
  {_hidden("form_token", form_token)}
  <div class="actions">
    <button name="scope" value="here">Sign out here</button>
    <button class="quiet" name="scope" value="everywhere">Sign out everywhere</button>
  </div>
</form>""",
    )


def confirm_logout_page(
    *, form_token: str, session: OpSession, kept: Iterable[tuple[str, str]]
) -> str:
    """Asks before a logout that comes without a valid `id_token_hint`."""
    fields = "".join(_hidden(name, value) for name, value in kept)
    return _layout(
        "Sign out",
        f"""
<h1>Sign out?</h1>
<p>{escape(session.user.name)}, do you want to end your session here?</p>
<form method="post" action="/end-session/confirm" id="confirm-logout">
  {_hidden("form_token", form_token)}{fields}
  <div class="actions">
    <button name="decision" value="yes">Sign out</button>
    <button class="quiet" name="decision" value="no">Stay signed in</button>
  </div>
</form>""",
    )


def message_page(title: str, text: str) -> str:
    """A page with nothing to do on it. Both texts are ours, never the request's."""
    return _layout(title, f"<h1>{escape(title)}</h1>\n<p>{escape(text)}</p>")


_CODE_FIELD = f"""<label class="field" for="code">Second step: the code on your phone</label>
  <input id="code" name="code" value="{SECOND_STEP_CODE}" inputmode="numeric" autocomplete="off">"""


def _account_choice(user: User, *, checked: bool) -> str:
    scopes = " ".join(sorted(user.api_scope)) or "no API access"
    return f"""
<label class="account">
  <input type="radio" name="username" value="{escape(user.sub)}" {"checked" if checked else ""}>
  <span>{escape(user.name)}</span><code>{escape(user.password)}</code>
  <small>{escape(user.sub)} &middot; {escape(scopes)}</small>
</label>"""


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'


def _layout(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - Demo identity provider</title>
<link rel="icon" href="data:,">
<style>{CSS}</style>
</head>
<body>
<main>
<header>Demo identity provider</header>
{body}
<footer>For demonstrations only: every account here is public.
<a href="/account">Your account</a></footer>
</main>
</body>
</html>
"""
