"""The request that a proxy describes: its method and target are said once, and judged as if that
request had come itself. A case is as for `head`."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from bff.errors import BadRequest
from bff.gate.head import Field, RequestHead
from bff.gate.outcome import Answer, Forward
from bff.gate.peers import forward_auth_request
from tests.fuzz.mutation import mutated
from tests.fuzz.target import require
from tests.fuzz.targets.head import USUAL, WORDS, HeadTarget, a_gate, fields_of

METHODS = [b"GET", b"POST", b"get", b"", b"GET ", b"G\xe9T", b"DELETE"]
TARGETS = [
    b"/api/x", b"/files/x?y=1", b"/api/../x", b"/open/x", b"", b"*", b"/bff/user", b"/api/%2e%2e/x",
    b"http://evil/api/x", b"http://app.example/api/x", b"/api/x#f", b"/api/x y", b"/api//x",
]  # fmt: skip
METHOD_NAMES = [b"X-Forwarded-Method", b"X-Original-Method", b"X_Forwarded_Method"]
TARGET_NAMES = [b"X-Forwarded-Uri", b"X-Original-URI", b"X-Forwarded_Uri", b"X-Original-URL"]

Subject = Callable[[Sequence[Field], str | None], RequestHead]


class ForwardAuthTarget:
    """The subject reads the description out of the fields."""

    name = "forward-auth"

    def __init__(self, subject: Subject = forward_auth_request) -> None:
        self._subject = subject
        self._gate = a_gate()
        self._heads = HeadTarget(self._gate.decide)

    def case(self, random: Random) -> bytes:
        lines = list(USUAL)
        for names, values in ((METHOD_NAMES, METHODS), (TARGET_NAMES, TARGETS)):
            good = values[random.randrange(2)]
            for _ in range(random.choice((0, 1, 1, 1, 1, 1, 1, 2, 2, 3))):
                name = random.choice(names[:2] if random.random() < 0.9 else names)
                value = good if random.random() < 0.8 else random.choice(values)
                lines.append((name.lower() if random.random() < 0.2 else name) + b":" + value)
        random.shuffle(lines)
        block = b"\n".join(lines)
        if random.random() < 0.2:
            block = mutated(random, block, WORDS)
        return b"10.0.0.1\nGET\n/bff/auth\n" + block

    def judge(self, case: bytes) -> bool:
        fields = list(fields_of(case.split(b"\n")[3:]))
        methods = said(fields, (b"x-forwarded-method", b"x-original-method"))
        targets = said(fields, (b"x-forwarded-uri", b"x-original-uri"))
        try:
            head = self._subject(fields, "10.0.0.1")
        except BadRequest:
            require(len(methods) != 1 or len(targets) != 1 or b"" in methods | targets, "refused")
            return False
        require(methods == {head.method.encode("latin-1")}, "another method than was said")
        require(targets == {head.target}, "another target than was said")
        require(list(head.fields) == fields and head.peer == "10.0.0.1", "other fields, or peer")
        direct = b"\n".join((b"10.0.0.1", *methods, *targets, *case.split(b"\n")[3:]))
        accepted = self._heads.judge(direct)
        decision = self._gate.decide(head)
        require(isinstance(decision, Forward) == accepted, "judged as another request")
        return not isinstance(decision, Answer)

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        first = b"10.0.0.1\nGET\n/bff/auth\nX-Forwarded-Method:GET\n"
        return {
            "targets": lambda size: first + b"X-Forwarded-Uri:/\n" * (size // 18),
            "long": lambda size: first + b"X-Forwarded-Uri:" + b"/a" * (size // 2),
        }


def said(fields: Sequence[Field], names: Sequence[bytes]) -> set[bytes]:
    return {value for name, value in fields if name.lower() in names}
