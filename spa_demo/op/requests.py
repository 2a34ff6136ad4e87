"""One HTTP request as the protocol code sees it, and the answer it gives: plain data, no framework.

The web layer reads the body first, because Authlib's grants are synchronous.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.rfc6749.requests import OAuth2Payload, OAuth2Request

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FormRequest:
    """Method, absolute URI without query, decoded parameters in order, and headers. `jkt` is the
    key of which it has a proof (RFC 9449), empty without."""

    method: str
    uri: str
    parameters: Pairs = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    jkt: str = ""

    def repeats_a_parameter(self) -> bool:
        names = [name for name, _ in self.parameters]
        return len(names) != len(set(names))


@dataclass(slots=True)
class Answer:
    """What Authlib's grants and endpoints produce. `body` is JSON, or "" for a redirect."""

    status: int
    body: Mapping[str, Any] | str
    headers: dict[str, str]

    @property
    def location(self) -> str | None:
        return self.headers.get("Location")

    @location.setter
    def location(self, value: str) -> None:
        self.headers["Location"] = value


class Parameters(OAuth2Payload):
    """The parameters in the two shapes Authlib asks for."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        # RFC 6749 section 3.1: a parameter without a value is treated as omitted.
        self._pairs = [(name, value) for name, value in pairs if value]

    @property
    def data(self) -> dict[str, str]:
        return dict(reversed(self._pairs))

    @property
    def datalist(self) -> dict[str, list[Any]]:
        return {name: [v for n, v in self._pairs if n == name] for name, _ in self._pairs}


class DemoOAuth2Request(OAuth2Request):
    """Authlib's view of a `FormRequest`."""

    def __init__(self, request: FormRequest) -> None:
        super().__init__(request.method, request.uri, headers=request.headers)
        self.payload: Parameters = Parameters(request.parameters)
        self.jkt = request.jkt

    @property
    def args(self) -> dict[str, str | None]:
        return dict(self.payload.data)

    @property
    def form(self) -> dict[str, str]:
        return self.payload.data
