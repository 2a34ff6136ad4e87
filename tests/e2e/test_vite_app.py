"""An app as Vite's react-ts template begins one uses the browser client, with its types.

In both ways that docs/spa-contract.md names: loaded from the gateway, or copied into the project
and bundled. Compiled by tsc, built by Vite, served by the gateway with its strict policy, run in
Chromium.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.chromium import running_chromium
from tests.parts.browser import DEMO_PASSWORDS
from tests.parts.command import bff
from tests.parts.deployment import ROOT
from tests.parts.stack import running_stack

PROJECT = ROOT / "tests" / "vite"
NODE = shutil.which("node")
BUILD_SECONDS = 300
LOUD = {"error", "warning"}

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="node is not installed"),
    pytest.mark.skipif(not (PROJECT / "node_modules").is_dir(), reason="npm ci has not been run"),
    pytest.mark.timeout(900),
]


async def project(folder: Path, way: str) -> Path:
    """A copy of the project with what `bff client` writes."""
    copy = folder / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (copy / "node_modules").symlink_to(PROJECT / "node_modules")
    if way == "loaded":
        done = await bff("client", "--types", "bff-types", cwd=copy)
    else:
        done = await bff("client", "src/bff", cwd=copy)
        app = copy / "src" / "App.tsx"
        app.write_text(app.read_text().replace("/bff/client/", "./bff/"))
    assert done.code == 0, done.err
    return copy


def run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    script = (PROJECT / "node_modules" / program).resolve()
    return subprocess.run(
        [NODE, str(script), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )


def compiled(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, ".bin/tsc", "--project", "tsconfig.json")


@pytest.mark.parametrize("way", ["loaded", "copied"])
async def test_it_is_compiled_built_and_used(tmp_path: Path, way: str) -> None:
    copy = await project(tmp_path, way)
    done = compiled(copy)
    assert done.returncode == 0, done.stdout
    done = run(copy, ".bin/vite", "build")
    assert done.returncode == 0, done.stdout + done.stderr
    (script,) = (copy / "dist" / "assets").glob("*.js")
    assert ("/bff/client/bff-client.js" in script.read_text()) is (way == "loaded")
    said: list[str] = []
    async with (
        running_stack(spa=f'root = "{copy / "dist"}"') as stack,
        running_chromium([]) as chromium,
    ):
        page = await chromium.new_page()
        page.on(
            "console", lambda message: said.append(message.text) if message.type in LOUD else None
        )
        page.on("pageerror", lambda error: said.append(str(error)))
        await page.goto(stack.public_url)
        await page.get_by_role("button", name="Log in").click()
        await page.locator("input[name=username][value=alice]").check()
        await page.get_by_label("Password").fill(DEMO_PASSWORDS["alice"])
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name="Allow").click()
        await expect(page.locator("h1")).to_have_text("Alice Liddell")
        await expect(page.locator("main p")).to_have_text("live")
        await page.get_by_role("button", name="Call the API").click()
        await expect(page.locator("output")).to_have_text("status 200")
    # A visitor who is not logged in is told so by a 401, which browsers show.
    assert [line for line in said if "401" not in line] == []


WRONG = {
    "client.user().sub;": "TS2339",  # a promise
    "void client.login({ returnurl: '/' });": "TS2561",
    "const name: string = (await client.user())!.name;": "TS2322",  # may be absent
    "client.onSession((event) => event.type === 'gone');": "TS2367",
    "createClient({ prefix: 1 });": "TS2322",
}


async def test_wrong_uses_are_refused_by_the_compiler(tmp_path: Path) -> None:
    """The types are more than there."""
    copy = await project(tmp_path, "loaded")
    head = (
        "import { createClient } from '/bff/client/bff-client.js'; const client = createClient();"
    )
    (copy / "src" / "wrong.ts").write_text("\n".join([head, *WRONG, "export { name };"]))
    told = re.findall(r"src/wrong\.ts\((\d+),\d+\): error (TS\d+)", compiled(copy).stdout)
    assert told == [(str(line), code) for line, code in enumerate(WRONG.values(), start=2)]
