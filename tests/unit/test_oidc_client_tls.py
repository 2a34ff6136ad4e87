"""TLS towards OPs: what is the same for several of them is there once."""

from pathlib import Path

import pytest

from bff.oidc.provider.client_tls import SharedTls
from tests.parts.certificates import self_signed


def test_ops_with_the_same_files_have_one_context(tmp_path: Path) -> None:
    """Those of a thousand tenants may show one certificate. One that shows another, trusts others
    or shows none has a context of its own."""
    certificate, key = map(str, self_signed(tmp_path, "localhost"))
    (tmp_path / "other").mkdir()
    other, other_key = map(str, self_signed(tmp_path / "other", "localhost"))
    shared = SharedTls()
    kinds = [
        (certificate, certificate, key),
        (certificate, None, None),
        (None, certificate, key),
        (certificate, other, other_key),
    ]
    contexts = []
    for files in (*kinds, *kinds):
        tls = shared.towards(*files)
        tls.load()
        contexts.append(tls.context())
    assert contexts[: len(kinds)] == contexts[len(kinds) :]
    assert len(set(contexts)) == len(kinds)


def test_a_renewed_certificate_is_shown_to_all(tmp_path: Path) -> None:
    certificate, key = map(str, self_signed(tmp_path, "localhost"))
    shared = SharedTls()
    first, second = (shared.towards(None, certificate, key) for _ in range(2))
    first.load()
    second.load()
    before = first.context()
    self_signed(tmp_path, "localhost")
    assert first.context() is second.context() is not before


def test_a_file_that_is_not_there_is_an_error_of_each(tmp_path: Path) -> None:
    shared = SharedTls()
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            shared.towards(None, str(tmp_path / "gone"), None).load()
