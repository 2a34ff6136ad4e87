"""An API behind https: its certificate is verified before a token goes (RFC 9700 section 2.6)."""

from pathlib import Path

import pytest

from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.certificates import self_signed, server_context
from tests.parts.raw_upstream import raw_upstream
from tests.parts.stack import running_stack


@pytest.mark.rule("TK-15")
@pytest.mark.parametrize(
    ("certified", "is_over", "is_trusted", "status"),
    [
        ("127.0.0.1", False, True, 200),
        ("127.0.0.1", False, False, 502),
        ("127.0.0.2", False, True, 502),
        ("other.example", False, True, 502),
        ("127.0.0.1", True, True, 502),
    ],
    ids=["good", "by no authority we trust", "for another address", "for another name", "over"],
)
async def test_a_token_is_sent_only_where_the_certificate_holds(
    tmp_path: Path, certified: str, is_over: bool, is_trusted: bool, status: int
) -> None:
    certificate, key = self_signed(tmp_path, certified, is_over=is_over)
    async with raw_upstream(server_context(certificate, key)) as upstream:
        routes = f"""
[[routes]]
path = "/api/"
upstream = "https://127.0.0.1:{upstream.port}/"
{f'ca_file = "{certificate}"' if is_trusted else ""}
"""
        async with running_stack(routes=routes) as stack, Browser() as browser:
            await log_in(browser, stack)
            answer = await browser.fetch("GET", "/api/x")
            assert answer.status == status
            assert len(upstream.received) == (1 if status == 200 else 0)
            if status == 200:
                (sent,) = upstream.received
                assert sent.values(b"authorization")[0].startswith(b"Bearer eyJ")
            else:
                assert answer.json()["code"] == "upstream_unreachable"
                assert "certificate" not in answer.text.lower()
