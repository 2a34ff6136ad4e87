"""The demo's browser code as files: what they must never contain, and that they fit together."""

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.client.spa_node import CLIENT, SPA, needs_node

ROOT = Path(__file__).parents[2]
MODULES = sorted(CLIENT.glob("*.js"))
FILES = sorted(path for path in SPA.rglob("*") if path.is_file()) + MODULES
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
PROOF_PANEL = SPA / "views" / "proof.js"
TSC = ROOT / "node_modules" / ".bin" / "tsc"

EXTERNAL = re.compile(
    r"""\b(?:https?|wss?|ftp):/|(?:["'(=]\s*)//[\w\[]|["'(]data:""", re.IGNORECASE
)
SVG_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
STORES = re.compile(
    r"\b(?:localStorage|sessionStorage|indexedDB|caches|cookieStore|document\.cookie)\b"
)
MARKUP_SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser"
    r"|setHTMLUnsafe|srcdoc|\beval\b|\bnew Function\b|setAttribute\(\s*['\"](?:style|on)"
)
STORAGE_WRITES = re.compile(r"document\.cookie\s*=(?!=)|(?:set|remove)Item\(\s*([^),]*)")


class Page(HTMLParser):
    """What a document refers to, and what a strict Content-Security-Policy would refuse."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.test_ids: list[str] = []
        self._open_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open_script = tag == "script"
        if tag in {"style", "base", "iframe", "object", "embed"}:
            self.faults.append(f"<{tag}>")
        for name, value in attrs:
            self._read_attribute(name, value or "")

    def _read_attribute(self, name: str, value: str) -> None:
        if name.startswith("on") or name in {"style", "srcdoc"} or "javascript:" in value.lower():
            self.faults.append(name)
        if name in {"src", "href", "action"}:
            self.references.append(value)
        if name == "id":
            self.ids.append(value)
        if name == "data-testid":
            self.test_ids.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._open_script = False

    def handle_data(self, data: str) -> None:
        if self._open_script and data.strip():
            self.faults.append("inline script")


INDEX = Page((SPA / "index.html").read_text())


def imports_of(script: Path) -> list[str]:
    return re.findall(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']""", script.read_text())


def test_page_has_nothing_inline() -> None:
    """`script-src 'self'; style-src 'self'` hold without exceptions."""
    assert INDEX.faults == []


@pytest.mark.parametrize(
    "markup",
    [
        "<script>1</script>",
        "<style>a{}</style>",
        '<p style="color:red">',
        '<b onclick="x()">',
        '<a href="JavaScript:x()">',
        '<base href="/x">',
        '<iframe srcdoc="x">',
    ],
)
def test_inline_code_would_be_noticed(markup: str) -> None:
    """The check above can fail."""
    assert Page(markup).faults


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_names_no_other_origin(path: Path) -> None:
    """Nothing is loaded from, linked to or sent to another origin."""
    text = path.read_text().replace(SVG_NAMESPACE, "")
    assert EXTERNAL.search(text) is None


@pytest.mark.parametrize(
    "text",
    [
        'src="//cdn.example/x.js"',
        "url(//cdn.example/x)",
        "fetch('https://a.example')",
        "@import 'http://a'",
        "`wss://a.example`",
        "url(data:image/png;base64,x)",
    ],
)
def test_other_origin_would_be_noticed(text: str) -> None:
    """The check above can fail."""
    assert EXTERNAL.search(text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_builds_no_markup_from_text(path: Path) -> None:
    """What the API or a claim says reaches the page as text only."""
    assert MARKUP_SINKS.search(path.read_text()) is None


@pytest.mark.parametrize(
    "path", [path for path in SCRIPTS if path != PROOF_PANEL], ids=lambda path: path.name
)
def test_script_stores_nothing(path: Path) -> None:
    """The browser's stores are the proof panel's business alone."""
    assert STORES.search(path.read_text()) is None


def test_proof_panel_stores_its_decoy_only() -> None:
    """The panel reads; the one value it writes and removes is the decoy."""
    text = PROOF_PANEL.read_text()
    assert STORES.search(text)
    assert {found[1] for found in STORAGE_WRITES.finditer(text)} == {"DECOY"}


def test_references_lead_to_files() -> None:
    """Every script, style sheet, image and import exists; pages are routes of the router."""
    routes = set(re.findall(r"'(/\w*)': '\w+'", (SPA / "router.js").read_text()))
    assert routes == {"/", "/notes", "/session", "/proof"}
    for reference in INDEX.references:
        is_file = (SPA / reference.removeprefix("/")).is_file()
        assert is_file or reference in routes or reference == "#main", reference
    for script in SCRIPTS:
        for name in imports_of(script):
            is_served = name.startswith("/bff/client/")
            assert is_served or name.startswith("."), name
            folder = CLIENT if is_served else script.parent
            assert (folder / name.removeprefix("/bff/client/")).is_file(), name


def test_elements_that_scripts_use_are_on_the_page() -> None:
    """An id is unique, and every id that a script asks for is there."""
    assert len(INDEX.ids) == len(set(INDEX.ids))
    for script in SCRIPTS:
        for wanted in re.findall(r"\b(?:element|put)\(\s*'([\w-]+)'", script.read_text()):
            assert wanted in INDEX.ids, f"{script.name}: {wanted}"


def test_elements_for_tests_are_on_the_page() -> None:
    """The names that browser tests rely on; each stands for one element."""
    wanted = (
        "login logout user-name user-sub token-life refresh-count notes note-form note-text "
        "note-submit forbidden forbidden-result proof proof-verdict problem session-live devices "
        "devices-end-others expiring expiring-action"
    )
    assert set(wanted.split()) <= set(INDEX.test_ids)
    assert len(INDEX.test_ids) == len(set(INDEX.test_ids))


def test_npm_is_for_type_checking_only() -> None:
    """The page needs no package; the lock file says nothing of where packages come from."""
    package = json.loads((ROOT / "package.json").read_text())
    assert set(package["devDependencies"]) == {"typescript"}
    assert "dependencies" not in package
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()


@needs_node
@pytest.mark.skipif(not TSC.exists(), reason="npm ci has not been run")
def test_the_types_for_typescript_are_current(tmp_path: Path) -> None:
    """After a change to the client: `make types`."""
    subprocess.run([ROOT / ".ci" / "client-types", tmp_path], check=True, timeout=60)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {path.name: path.read_text() for path in CLIENT.glob("*.d.ts")} == made
    assert made.keys() == {path.with_suffix(".d.ts").name for path in MODULES}


@needs_node
@pytest.mark.skipif(not TSC.exists(), reason="npm ci has not been run")
def test_types_hold() -> None:
    """`tsc --checkJs` in strict mode has nothing to say."""
    done = subprocess.run(
        [TSC, "--project", ROOT / "tsconfig.json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
