"""What the test browser got: a page, its forms, and the redirects that led to it."""

import json as json_text
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

from multidict import CIMultiDictProxy


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a page: absolute action, the values it would submit, and its buttons."""

    action: str
    method: str
    id: str
    fields: tuple[tuple[str, str], ...]
    buttons: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A response. `hops` are the responses of the redirects that led here, oldest first.

    `request_headers` are those that were sent for this very response.
    """

    url: str
    status: int
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(repr=False)
    request_headers: Mapping[str, str] = field(repr=False)
    hops: tuple["Page", ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json_text.loads(self.body)

    @property
    def location(self) -> str | None:
        return self.headers.get("Location")

    def forms(self) -> list[Form]:
        reader = _FormReader(self.url)
        reader.feed(self.text)
        return reader.forms

    def form(self, form_id: str) -> Form:
        """The form with that id.

        Raises: LookupError.
        """
        for form in self.forms():
            if form.id == form_id:
                return form
        raise LookupError(f"no form {form_id!r} at {self.url} ({self.status})")

    def has_form(self, form_id: str) -> bool:
        is_html = self.headers.get("Content-Type", "").startswith("text/html")
        return is_html and any(form.id == form_id for form in self.forms())


class _FormReader(HTMLParser):
    """Collects the forms of a document with their successful controls."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self._open: dict[str, str] | None = None
        self._fields: list[tuple[str, str]] = []
        self._buttons: list[tuple[str, str]] = []
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open, self._fields, self._buttons = given, [], []
        elif self._open is not None and tag == "button":
            self._buttons.append((given.get("name", ""), given.get("value", "")))
        elif self._open is not None and tag == "input" and given.get("name"):
            is_choice = given.get("type") in {"radio", "checkbox"}
            if not is_choice or "checked" in given:
                self._fields.append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._open is not None:
            self.forms.append(
                Form(
                    action=urljoin(self._base, self._open.get("action", "")),
                    method=self._open.get("method", "get").lower(),
                    id=self._open.get("id", ""),
                    fields=tuple(self._fields),
                    buttons=tuple(self._buttons),
                )
            )
            self._open = None
