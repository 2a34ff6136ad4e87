"""A small valid configuration for the tests of `bff.config`, and ways to spoil it."""

from collections.abc import Mapping
from pathlib import Path

from bff.config import ConfigError, Problem, Settings, load

SECRET = "b5Ja9W0tqXvZr3Lk8NfYc2Hd7MsPe4Gu"  # 32 bytes
OTHER_SECRET = "Qm1Zx8Cv3Bn6Lk0Jh5Gf2Ds9Aa7Pw4Ot"

Tables = Mapping[str, Mapping[str, str | None]]

VALID: Tables = {
    "server": {"public_url": '"https://app.example.com"'},
    "oidc": {
        "issuer": '"https://idp.example.com/realms/acme"',
        "client_id": '"spa"',
        "client_secret": '"given-by-the-provider"',
    },
    "session": {"secrets": f'["{SECRET}"]'},
    "user": {},
    "spa": {},
    "csrf": {},
    "log": {},
    "access_log": {},
    "routes": {"path": '"/api/"', "upstream": '"http://127.0.0.1:9000/v1/"'},
}


def toml(changes: Tables | None = None, extra: str = "") -> str:
    """The valid file with keys set to other TOML texts, or left out (None), and further tables;
    `extra` follows."""
    lines = []
    for table in dict.fromkeys((*VALID, *(changes or {}))):
        lines.append("[[routes]]" if table == "routes" else f"[{table}]")
        for key, value in {**VALID.get(table, {}), **(changes or {}).get(table, {})}.items():
            if value is not None:
                lines.append(f"{key} = {value}")
    return "\n".join([*lines, extra, ""])


def write(directory: Path, text: str) -> Path:
    path = directory / "bff.toml"
    path.write_text(text)
    return path


def loaded(
    directory: Path, text: str | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings; a test that expects none uses `problems`."""
    return load(write(directory, toml() if text is None else text), environ or {})


def problems(
    directory: Path, text: str | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Problem, ...]:
    """What is wrong, nothing if the configuration loads."""
    try:
        loaded(directory, text, environ)
    except ConfigError as error:
        return error.problems
    return ()


def line_of(text: str, start: str) -> int:
    """The line, counted from 1, of the first line that starts like this."""
    return next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith(start))
