"""All targets, each with the real thing as its subject."""

from collections.abc import Mapping

from tests.fuzz.target import Target
from tests.fuzz.targets.answer import AnswerTarget
from tests.fuzz.targets.callback import CallbackTarget
from tests.fuzz.targets.client import ClientTarget
from tests.fuzz.targets.cookie import CookieTarget
from tests.fuzz.targets.events import EventsTarget
from tests.fuzz.targets.forward_auth import ForwardAuthTarget
from tests.fuzz.targets.head import HeadTarget
from tests.fuzz.targets.id_token import IdTokenTarget
from tests.fuzz.targets.key_set import KeySetTarget
from tests.fuzz.targets.login import LoginTarget
from tests.fuzz.targets.logout_token import LogoutTokenTarget
from tests.fuzz.targets.metadata import MetadataTarget
from tests.fuzz.targets.path import PathTarget
from tests.fuzz.targets.retry_after import RetryAfterTarget
from tests.fuzz.targets.return_url import ReturnUrlTarget
from tests.fuzz.targets.sealed import SealedTarget
from tests.fuzz.targets.token_answer import TokenAnswerTarget
from tests.fuzz.targets.toml_lines import TomlTarget
from tests.fuzz.targets.websocket import WebSocketTarget


def all_targets() -> Mapping[str, Target]:
    """Made anew, with nothing remembered."""
    made: list[Target] = [
        ClientTarget(),
        CookieTarget(),
        PathTarget(),
        HeadTarget(),
        ForwardAuthTarget(),
        WebSocketTarget(),
        AnswerTarget(),
        ReturnUrlTarget(),
        LoginTarget(),
        CallbackTarget(),
        EventsTarget(),
        MetadataTarget(),
        KeySetTarget(),
        TokenAnswerTarget(),
        IdTokenTarget(),
        LogoutTokenTarget(),
        RetryAfterTarget(),
        SealedTarget(),
        TomlTarget(),
    ]
    return {target.name: target for target in made}
