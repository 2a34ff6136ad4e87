"""A scripted OP that rotates refresh tokens and ends the grant when one is used twice (RFC 9700
section 4.14.2). It can be made to hold answers back, or to forget them, after it has rotated.
"""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from bff.clock import Clock
from bff.model import Tokens
from tests.parts.scripted_op import Answer, Received, ScriptedOp

INVALID_GRANT = Answer({"error": "invalid_grant"}, status=400)


class RotatingOp(ScriptedOp):
    """`current` names the live refresh token of each grant; a grant that is not in it has ended.

    While `deliver` is clear, token answers are held back; what they say has happened already.
    `fault`, when set, replaces the answer to the next refreshes: it is given what the OP would
    have said, after the rotation.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.current: dict[str, str] = {}
        self.reused: list[str] = []
        self.spent: set[str] = set()
        self.expires_in: object = 60
        self.fault: Callable[[Answer], Answer] | None = None
        self.refuse: Answer | None = None
        self.deliver = asyncio.Event()
        self.deliver.set()
        self.answers["token"] = self._token

    def rotations(self, name: str) -> int:
        """How often the tokens of a grant have been replaced."""
        return sum(1 for token in self.spent if token.split(".")[1] == name)

    def grant(self, name: str) -> Tokens:
        """A new grant, as a login leaves it."""
        self.current[name] = f"rt.{name}.0"
        now = self.clock.now()
        return Tokens(f"at.{name}.0", now, now + 60, self.current[name], id_token=self.id_token())

    def _token(self, received: Received) -> Answer:
        """`refuse`, when set, comes before anything has happened."""
        if self.refuse is not None:
            return self.refuse
        answer = self._rotated(received.form)
        return self.fault(answer) if self.fault is not None else answer

    def _rotated(self, form: Mapping[str, str]) -> Answer:
        presented = form["refresh_token"]
        wanted_for = form.get("resource") or form.get("scope")
        _, name, number = presented.split(".")
        if presented in self.spent:
            self.reused.append(presented)
            self.current.pop(name, None)
        if self.current.get(name) != presented:
            return INVALID_GRANT
        self.spent.add(presented)
        self.current[name] = f"rt.{name}.{int(number) + 1}"
        document = {
            "access_token": f"at.{name}.{int(number) + 1}"
            + (f"@{wanted_for}" if wanted_for else ""),
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "refresh_token": self.current[name],
            **self.token_changes,
        }
        return Answer({key: value for key, value in document.items() if value is not None})

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if request.path == "/token":
            await self.deliver.wait()
        return await super()._send(request, answer)
