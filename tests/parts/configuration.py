"""The configuration of a gateway on loopback: the usual tables, what a test changes of them,
and the text of the file."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bff.config import Settings, load
from spa_demo import SPA_ROOT
from tests.parts.servers import free_port

CLIENT_ID = "spa"
CLIENT_SECRET = "client-secret-canary-0123456789"
SESSION_SECRET = "Zk3vJ8qT5nY1cW7xB2mL9rD4sF6hG0pA"
SCOPE = "openid profile email api:read api:write"

# For tests of news between processes: by itself a cache would not notice for longer than they wait.
BY_NEWS_ONLY = 'cache_max_age = "60s"'

Tables = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ports:
    gateway: int
    admin: int
    op: int
    api: int


def free_ports(*, api: int | None = None) -> Ports:
    """Ports that are free; an API that serves already has its own."""
    return Ports(free_port(), free_port(), free_port(), free_port() if api is None else api)


def listening_at(
    public: int, admin: int, *, host: str = "127.0.0.1", **further: int
) -> dict[str, str]:
    """Environment variables of one more gateway with the same file: the ports it listens at, its
    own instead of the file's. `further` are other listeners' ports by their name: auth, health."""
    ports = {"LISTEN": public, "ADMIN_LISTEN": admin}
    ports |= {f"{name.upper()}_LISTEN": port for name, port in further.items()}
    return {f"BFF_SERVER__{key}": f"{host}:{port}" for key, port in ports.items()}


def gateway_toml(
    ports: Ports,
    *,
    store: str = "memory://",
    secret: str = SESSION_SECRET,
    scope: str = SCOPE,
    session: str = "",
    oidc: str = "",
    server: str = "",
    extra: str = "",
    routes: str | None = None,
    spa: str | None = None,
) -> str:
    """The usual configuration, changed by further lines: `session`, `oidc`, `server` and `spa` are
    lines of their table, `extra` of `[user]` and then any tables, `routes` are tables in the place
    of the usual route. A key that is given has its new value; there is no client secret where
    `client_auth` or a profile needs none."""
    tables: Tables = {
        "server": {
            "public_url": f"http://localhost:{ports.gateway}",
            "listen": f"127.0.0.1:{ports.gateway}",
            "admin_listen": f"127.0.0.1:{ports.admin}",
            "shutdown_timeout": "2s",
        },
        "oidc": {
            "issuer": f"http://127.0.0.1:{ports.op}",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scope": scope,
        },
        "session": {"store": store, "secrets": [secret]},
        "user": {"claims": ["name", "email"]},
        "spa": {"root": str(SPA_ROOT)} if spa is None else {},
        "routes": [
            {
                "path": "/api/",
                "upstream": f"http://127.0.0.1:{ports.api}/",
                "methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            }
        ],
    }
    if routes is not None:
        tables["routes"] = []
    for text in (
        f"[server]\n{server}",
        f"[oidc]\n{oidc}",
        f"[session]\n{session}",
        f"[user]\n{extra}",
        f"[spa]\n{spa or ''}",
        routes or "",
    ):
        _change(tables, tomllib.loads(text))
    method = "" if "profile" in tables["oidc"] else "client_secret"
    needs_secret = tables["oidc"].get("client_auth", method).startswith("client_secret")
    if not needs_secret or "client_secret_file" in tables["oidc"]:
        del tables["oidc"]["client_secret"]
    return toml_text(tables)


def _change(tables: Tables, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(tables.get(name), dict):
            _change(tables[name], value)
        elif name == "routes":
            tables[name] += value
        else:
            tables[name] = value


def toml_text(tables: Mapping[str, Any]) -> str:
    """The tables as a file: lists of tables under `[[name]]`, tables within tables in one line."""
    parts = []
    for name, value in tables.items():
        heading = f"[[{name}]]" if isinstance(value, list) else f"[{name}]"
        for table in value if isinstance(value, list) else [value]:
            lines = (f"{_key(key)} = {_value(one)}\n" for key, one in table.items())
            parts.append(f"{heading}\n{''.join(lines)}")
    return "\n".join(parts)


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool | str):
        return json.dumps(value)
    assert isinstance(value, int | float), value
    return repr(value)


def settings_from(toml: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Load a configuration as a user would write it."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "bff.toml"
        path.write_text(toml)
        return load(path, environ or {})
