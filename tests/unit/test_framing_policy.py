"""Whose pages may frame the front-channel logout."""

from bff.endpoints.op_logout import framing_policy


def test_the_pages_of_each_op_may_wherever_they_are() -> None:
    """By origin, each once: an issuer may have a path, which its logout page need not be below."""
    policy = framing_policy(
        [
            "https://id.example:8443/realms/one",
            "https://id.example:8443/realms/two",
            "https://other.example",
        ]
    )
    assert "default-src 'none'" in policy
    assert policy.count("frame-ancestors") == 1
    [ancestors] = [rule for rule in policy.split("; ") if rule.startswith("frame-ancestors")]
    assert ancestors == "frame-ancestors https://id.example:8443 https://other.example"
