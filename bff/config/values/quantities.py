"""Durations (`30s`, `15m`, `500ms`) as float seconds, sizes (`100MB`, `64KiB`) as bytes, and rates
(`60/minute`)."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from bff.limits.limiter import Rate

_PERIOD_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT_BYTES = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,9})(B|KB|MB|GB|KiB|MiB|GiB)")
_RATE = re.compile(r"([1-9][0-9]{0,5})/(second|minute|hour)")
_OFF = "off"


def parse_duration(value: object) -> float:
    """Seconds of a duration such as `30s`.

    Raises:
        ValueError: anything else, a bare number too: its unit would be a guess.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a duration such as "30s", "15m" or "12h"')
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def duration_text(seconds: float) -> str:
    """A number of seconds, as a user would write it."""
    return f"{seconds:g}s"


def parse_size(value: object) -> int:
    """Bytes of a size such as `100MB`; KB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024.

    Raises:
        ValueError: anything else.
    """
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a size such as "64KiB", "100MB" or "1GB"')
    return int(match[1]) * _UNIT_BYTES[match[2]]


def parse_rate(value: object) -> Rate | None:
    """A rate such as `60/minute`; None for `off`.

    Raises:
        ValueError: anything else.
    """
    if value == _OFF:
        return None
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a rate such as "10/second", "60/minute" or "100/hour", or "off"')
    return Rate(int(match[1]), _PERIOD_SECONDS[match[2]])


@dataclass(frozen=True, slots=True)
class Between:
    """A bound on a duration, both ends included; the schema shows it as `x-between`."""

    low: str
    high: str

    def require(self, seconds: float) -> float:
        if not parse_duration(self.low) <= seconds <= parse_duration(self.high):
            raise ValueError(f"must be between {self.low} and {self.high}")
        return seconds

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self.require, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "x-between": [self.low, self.high]}


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "x-kind": "duration"}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": f"^{_SIZE.pattern}$", "x-kind": "size"}),
]
RateLimit = Annotated[
    Rate | None,
    BeforeValidator(parse_rate),
    WithJsonSchema(
        {"type": "string", "pattern": f"^({_RATE.pattern}|{_OFF})$", "x-kind": 'rate or `"off"`'}
    ),
]
