"""The web page, built as it is published and tested in Chromium, Firefox and WebKit, whose microphones play clips."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from utils.applications.demo import save_model
from utils.paths import PROJECT, speech_data

PAGE = PROJECT / "demo"
MADE = ("node_modules", "dist", "model")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NPM = shutil.which("npm")
needs_clips = pytest.mark.skipif(not (speech_data() / "7_lucas_2.wav").exists(), reason="the clips are not here")


def own_files() -> list[Path]:
    paths = (path for path in PAGE.rglob("*") if path.is_file())
    return [path for path in paths if not set(MADE) & set(path.relative_to(PAGE).parts)]


def test_the_lock_file_names_no_registry():
    packages = json.loads((PAGE / "package-lock.json").read_text())["packages"]
    assert packages and not [name for name, package in packages.items() if "resolved" in package]


def test_the_page_names_no_other_host():
    pages = [path for path in own_files() if path.suffix in {".html", ".js", ".css", ".webmanifest"}]
    assert pages
    for path in pages:
        hosts = re.findall(r"(?:https?:)?//([\w-]+(?:\.[\w-]+)+)", path.read_text(encoding="utf-8"))
        assert set(hosts) <= {"127.0.0.1"}, path


def test_the_published_folder_carries_the_licences():
    text = (PAGE / "public" / "licences.txt").read_text(encoding="ascii")  # a server may send it without a charset
    for named in ("Microsoft Corporation", "SIL OPEN FONT LICENSE", "CC BY-SA 4.0", "CC BY 4.0", "eSpeak NG"):
        assert named in text
    assert 'href="./licences.txt"' in (PAGE / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A copy of the page's folder with its npm packages installed."""
    if not NPM:
        pytest.skip("there is no npm")
    folder = tmp_path_factory.mktemp("page") / "demo"
    shutil.copytree(PAGE, folder, ignore=shutil.ignore_patterns(*MADE))
    npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return folder


def npm(folder: Path, *arguments: str, **variables: str) -> str:
    """The output of an npm command. If it fails, so does the test, with the output as its message."""
    finished = subprocess.run(
        [NPM, *arguments], cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=1200
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.mark.slow
def test_the_units(page):
    assert "fail 0" in npm(page, "test")
    notice = (page / "node_modules" / "@fontsource-variable" / "fraunces" / "LICENSE").read_text(encoding="utf-8")
    assert notice.strip() in (page / "public" / "licences.txt").read_text(encoding="ascii")


@pytest.fixture(scope="module")
def built(page) -> Path:
    save_model(page / "public" / "model")
    npm(page, "run", "build")
    return page


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
@needs_clips
def test_in_a_browser(built):
    output = npm(built, "run", "test:browser", CHROMIUM=CHROMIUM, SDR_SPEECH_DATA=str(speech_data().resolve()))
    print("\n".join(re.findall(r"# (?:first load|on the screen|median|the model's).*", output)))
    assert "SKIP" not in output


@pytest.mark.slow
@needs_clips
@pytest.mark.parametrize("browser", ["Chromium", "Firefox", "WebKit"])
def test_in_every_browser(built, browser):
    output = npm(built, "run", "test:browsers", BROWSER=browser, SDR_SPEECH_DATA=str(speech_data().resolve()))
    print("\n".join(re.findall(rf"# {browser} .*", output)))
    if skipped := re.findall(r"(?:ok \d+ - (.*)) # SKIP (.*)", output):
        pytest.skip("; ".join(": ".join(pair) for pair in skipped))  # what ran has passed
