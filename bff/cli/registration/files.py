"""The files of one registration at an OP: keys for the configuration, the client secret, and what
the registration is managed with later.

They are written whole or not at all, and over existing ones only when that is wanted. The two that
hold a secret are for their owner alone.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bff.oidc.registered_client import Management

KEYS = "oidc.toml"
CREDENTIAL = "client_secret"
RECORD = "registration.json"
MODES = {KEYS: 0o644, CREDENTIAL: 0o600, RECORD: 0o600}


class FilesUnusable(Exception):
    """A file can't be read or written. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class Record:
    """A registration as it was stored. `client_secret` is empty where there is no file of it."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    management: Management


class RegistrationFiles:
    """Those in one folder, which has to exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        return self._folder / name

    def require_free(self) -> None:
        """Raises: FilesUnusable, where one of them exists."""
        for name in MODES:
            if os.path.lexists(self.path(name)):
                raise FilesUnusable(f"{self.path(name)} exists; --force writes over it")

    def require_writable(self) -> None:
        """To be asked before the OP is, so that no client is made in vain. Raises:
        FilesUnusable."""
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder) as probe:
                probe.write(b"x")
        except OSError as error:
            raise FilesUnusable(f"can't write to {self._folder}: {error.strerror}") from None

    def load(self) -> Record:
        """Raises: FilesUnusable."""
        stored = self._stored()
        known = {
            name: stored.get(name)
            for name in ("issuer", "client_id", "registration_client_uri")
            if isinstance(stored.get(name), str)
        }
        token = stored.get("registration_access_token")
        if len(known) != 3 or not isinstance(token, str):
            raise FilesUnusable(f"{self.path(RECORD)} is no record of a registration")
        try:
            secret = self.path(CREDENTIAL).read_text("utf-8").strip()
        except FileNotFoundError:
            secret = ""  # of a client that has a key instead
        except (OSError, ValueError):
            raise FilesUnusable(f"can't read {self.path(CREDENTIAL)}") from None
        management = Management(str(known["registration_client_uri"]), token)
        return Record(str(known["issuer"]), str(known["client_id"]), secret, management)

    def _stored(self) -> Mapping[str, object]:
        path = self.path(RECORD)
        try:
            stored = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise FilesUnusable(
                f"there is no {path}: nothing was registered from here, or the OP lets no client "
                "manage itself; --folder names another place"
            ) from None
        except OSError as error:
            raise FilesUnusable(f"can't read {path}: {error.strerror}") from None
        except ValueError:
            stored = None
        return stored if isinstance(stored, dict) else {}

    def write(self, texts: Mapping[str, str], *, overwrite: bool) -> None:
        """All of them, or none. Raises: FilesUnusable."""
        with contextlib.ExitStack() as drafts, contextlib.ExitStack() as placed:
            try:
                written = {
                    name: _draft(self._folder, text, MODES[name], drafts)
                    for name, text in texts.items()
                }
                for name, draft in written.items():
                    target = self.path(name)
                    if overwrite:
                        draft.replace(target)
                    else:
                        target.hardlink_to(draft)  # unlike a rename never over an existing file
                        placed.callback(target.unlink, missing_ok=True)
            except FileExistsError as error:
                raise FilesUnusable(f"{error.filename2} exists by now") from None
            except OSError as error:
                raise FilesUnusable(f"can't write to {self._folder}: {error.strerror}") from None
            placed.pop_all()

    def remove(self) -> None:
        """All three. Raises: FilesUnusable."""
        try:
            for name in MODES:
                self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise FilesUnusable(f"can't remove {error.filename}: {error.strerror}") from None


def record_text(issuer: str, client_id: str, management: Management) -> str:
    """What `RegistrationFiles.load` reads."""
    document = {
        "issuer": issuer,
        "client_id": client_id,
        "registration_client_uri": management.uri,
        "registration_access_token": management.token,
    }
    return json.dumps(document, indent=2) + "\n"


def _draft(folder: Path, text: str, mode: int, drafts: contextlib.ExitStack) -> Path:
    """A complete file beside the one that it is for, removed at the end of the stack."""
    descriptor, name = tempfile.mkstemp(prefix=".bff-", dir=folder)
    draft = Path(name)
    drafts.callback(draft.unlink, missing_ok=True)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    return draft
