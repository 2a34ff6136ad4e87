"""What may stand in `audit.sinks`, and what is said of what may not."""

from pathlib import Path

import pytest

from bff.audit.destinations import (
    Destination,
    FileDestination,
    StdoutDestination,
    StreamDestination,
    SyslogDestination,
    WebhookDestination,
    parse_destination,
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("file:/var/log/bff/audit.jsonl", FileDestination(Path("/var/log/bff/audit.jsonl"))),
        ("file:audit.jsonl", FileDestination(Path("audit.jsonl"))),
        ("stdout", StdoutDestination()),
        ("syslog:", SyslogDestination(path="/dev/log")),
        ("syslog:/run/log", SyslogDestination(path="/run/log")),
        ("syslog:udp://logs.example.com", SyslogDestination(host="logs.example.com", port=514)),
        ("syslog:udp://[::1]:5514", SyslogDestination(host="::1", port=5514)),
        ("redis-stream:", StreamDestination("audit")),
        ("redis-stream:siem_1", StreamDestination("siem_1")),
        ("webhook:https://a.example/x", WebhookDestination("https://a.example/x")),
        ("webhook:http://127.0.0.1:9/x", WebhookDestination("http://127.0.0.1:9/x")),
        ("webhook:http://[::1]:9/x", WebhookDestination("http://[::1]:9/x")),
    ],
)
def test_a_sink_is_understood(text: str, meant: Destination) -> None:
    assert parse_destination(text) == meant


@pytest.mark.rule("AU-03")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no kind of sink"),
        ("file", "no kind of sink"),
        ("journal:", "no kind of sink"),
        ("stdout:", "no kind of sink"),
        ("file:", "needs the path"),
        ("file:a\0b", "needs the path"),
        ("syslog:tcp://logs:514", "udp://HOST:PORT"),
        ("syslog:logs:514", "udp://HOST:PORT"),
        ("syslog:udp://logs:99999", "udp://HOST:PORT"),
        ("syslog:udp://logs/x", "udp://HOST:PORT"),
        ("redis-stream:a:b", "letters, digits"),
        ("webhook:", "needs a URL"),
        ("webhook:ftp://a.example/", "needs a URL"),
        ("webhook:https://a.example:x/", "needs a URL"),
        ("webhook:https://a.example/?key=canary", "no query"),
        ("webhook:http://a.example/", "must be https"),
        ("webhook:http://127.0.0.1.evil.example/", "must be https"),
        ("webhook:https://user:canary@a.example/", "webhook_token"),
    ],
)
def test_what_is_wrong_is_said_without_repeating_it(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_destination(text)
    assert "canary" not in str(caught.value)
