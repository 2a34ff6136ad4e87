"""The root of the tree of errors."""

import logging
from enum import StrEnum
from typing import ClassVar


class Source(StrEnum):
    """Whose fault it is."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    OP = "op"
    STORE = "store"
    GATEWAY = "gateway"


class BffError(Exception):
    """Base of every error that can become an answer. `retry_after` is in seconds."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "The gateway failed to handle the request."
    source: ClassVar[Source] = Source.GATEWAY
    retryable: ClassVar[bool] = False
    log_level: ClassVar[int] = logging.ERROR

    def __init__(self, log_detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(log_detail or self.title)
        self.log_detail = log_detail
        self.retry_after = retry_after


class InternalError(BffError):
    """A fault of ours: the catch-all, so that an unforeseen exception fails closed."""
