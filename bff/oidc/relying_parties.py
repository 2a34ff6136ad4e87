"""The relying parties of a gateway with several providers, and which of them a question is for.

A session or a login names its own. A logout token names an issuer and its clients, and every
relying party that it may be for verifies it as if it were the only one.
"""

import asyncio
from collections.abc import Iterator, Sequence

from bff.errors import LogoutTokenInvalid, OpError
from bff.oidc.jwt.logout_token import LogoutNotice
from bff.oidc.jwt.signed_jwt import stated_claims
from bff.oidc.relying_party import RelyingParty


class RelyingParties:
    """One for each provider, in the order of the configuration; the first is the default."""

    def __init__(self, parties: Sequence[RelyingParty]) -> None:
        self._by_name = {party.name: party for party in parties}
        self.default = parties[0]

    def __getitem__(self, name: str) -> RelyingParty:
        """The one of that name. Raises: KeyError."""
        return self._by_name[name]

    def get(self, name: str) -> RelyingParty | None:
        return self._by_name.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[RelyingParty]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def of_domain(self, address: str) -> RelyingParty | None:
        """The one for users with such an e-mail address."""
        domain = address.rpartition("@")[2].lower() if "@" in address else ""
        fitting = (party for party in self if domain in party.settings.email_domains)
        return next(fitting, None)

    async def start(self) -> None:
        """As `RelyingParty.start`."""
        for party in self:
            await party.start()

    async def close(self) -> None:
        for party in self:
            await party.close()

    @property
    def eager(self) -> tuple[RelyingParty, ...]:
        """Those whose OP is asked before a request needs it."""
        return tuple(party for party in self if not party.settings.on_demand)

    async def check(self) -> None:
        """The first that allows a login is enough: an OP that is down, or does not answer, must not
        keep the users of the others out. Where all are on demand, none is asked. Raises: OpError,
        that of the first."""
        checks = [asyncio.create_task(_trouble_of(party)) for party in self.eager]
        if not checks:
            return
        try:
            for checked in asyncio.as_completed(checks):
                if await checked is None:
                    return
        finally:
            for check in checks:
                check.cancel()
        raise checks[0].result() or OpError("no provider")

    async def warm_up(self) -> None:
        """Have each that is not on demand fetch what a login needs; trouble only delays the first
        login."""
        await asyncio.gather(*map(_trouble_of, self.eager))

    async def logout_token(self, logout_token: str) -> tuple[LogoutNotice, ...]:
        """What a logout token says, to each relying party that it is for: several where we have
        several clients at one OP and it names more than one of them.

        Raises:
            LogoutTokenInvalid: it is for none; `check` is that of the first it may be for.
            OpError: the keys of one that it may be for can't be had.
        """
        if len(self) == 1:
            return (await self.default.logout_token(logout_token),)
        issuer = (stated_claims(logout_token) or {}).get("iss")
        refusal = LogoutTokenInvalid("iss", "is that of no provider")
        notices = []
        refusals = []
        for party in self:
            if party.issuers.includes(issuer):
                try:
                    notices.append(await party.logout_token(logout_token))
                except LogoutTokenInvalid as invalid:
                    refusals.append(invalid)
        if not notices:
            raise [*refusals, refusal][0]
        return tuple(notices)


async def _trouble_of(party: RelyingParty) -> OpError | None:
    """Why it allows no login now, if it does not."""
    try:
        await party.check()
    except OpError as error:
        return error
    return None
