"""How many vectors each corpus holds: counted from the tables themselves."""

from collections.abc import Mapping, Sequence

from tests.security import (
    corpus_cookies,
    corpus_paths,
    corpus_return_urls,
    corpus_smuggling,
    misbehaviours,
)
from tests.security.misbehaviours import Misbehaviour
from tests.wire.vectors import request_vectors, response_vectors

# Where an OP misbehaves -> how -> what the browser is told, of the tests in test_hostile_op.py.
MISBEHAVIOURS: Mapping[str, Mapping[str, Misbehaviour]] = {
    "discovery": misbehaviours.DISCOVERY,
    "ID token": misbehaviours.LOGIN_ID_TOKEN,
    "keys": misbehaviours.KEYS,
    "token endpoint": misbehaviours.TOKEN,
    "UserInfo": misbehaviours.USERINFO,
}


def vectors() -> dict[str, int]:
    """The number of vectors of each corpus, all of which go through a running gateway."""
    return {
        "paths": _all(corpus_paths.REFUSED) + len(corpus_paths.NO_TARGET + corpus_paths.KEPT),
        "header smuggling": len(corpus_smuggling.SMUGGLED),
        "hop-by-hop": len(corpus_smuggling.NAMING_OURS + corpus_smuggling.NAMING_THE_BROWSERS),
        "forwarded headers": len(corpus_smuggling.UNTRUSTED) + len(corpus_smuggling.TRUSTED),
        "return URLs": _all(corpus_return_urls.GO_HOME) + len(corpus_return_urls.KEPT),
        "cookies": len(corpus_cookies.OURS + corpus_cookies.OF_NO_USER + corpus_cookies.HOSTILE),
        "OP misbehaviours": sum(map(len, MISBEHAVIOURS.values())) + len(misbehaviours.LIFETIMES),
        "requests": len(request_vectors()),
        "upstream answers": len(response_vectors()),
    }


def _all(table: Mapping[str, Sequence[object]]) -> int:
    return sum(len(entries) for entries in table.values())
