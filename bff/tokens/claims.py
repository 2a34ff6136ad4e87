"""Which claims of an identity a session keeps: those on the allow-list, and nothing else."""

from collections.abc import Collection, Mapping


class ClaimAllowList:
    """Claims a session may hold, and so may show to the browser."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)

    def kept(
        self, claims: Mapping[str, object], *, before: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        """The allowed claims, laid over those held `before` (a refresh may bring fewer)."""
        found = {name: value for name, value in claims.items() if name in self._names}
        return {**(before or {}), **found}
