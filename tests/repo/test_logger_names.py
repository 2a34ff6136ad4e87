"""A logger's name says where in the program an event comes from."""

import re
from importlib.util import find_spec

import pytest

from tests.parts.deployment import ROOT

NAMED = re.compile(r"get_logger\(\s*[\"']([^\"']+)[\"']")
FILES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "bff").rglob("*.py")}


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_logger_has_the_name_of_a_module_that_it_is_in(file: str) -> None:
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for name in NAMED.findall(FILES[file].read_text()):
        assert find_spec(name) is not None
        assert f"{module}.".startswith(f"{name}.")
