"""The page of `sdr record` in headless Chromium, with a microphone that plays words. DevTools' protocol drives it."""

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import RATE, speak

from utils.applications.recording import server as recording_server
from utils.applications.recording.server import PAGE, Server
from utils.applications.recording.session import Session
from utils.data.metadata import read_metadata
from utils.paths import PROJECT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCREENSHOTS = os.environ.get("SCREENSHOTS")  # a folder for pictures of the page, to look at
AXE = PROJECT / "demo/node_modules/axe-core/axe.min.js"  # once `npm ci` has run there
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--mute-audio", "--remote-debugging-port=0"),
    "--use-fake-device-for-media-stream",
)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")


class Browser:
    """A page of a browser of its own."""

    def __init__(self, folder: Path, *arguments: str):
        websocket = pytest.importorskip("websocket")
        self.process = subprocess.Popen(
            [CHROMIUM, *ARGUMENTS, *arguments, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        chosen = folder / "DevToolsActivePort"
        wait_until(lambda: chosen.exists() and len(chosen.read_text().splitlines()) == 2, 60)
        port = chosen.read_text().splitlines()[0]
        targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list"))
        (target,) = [target for target in targets if target["type"] == "page"]
        self.socket = websocket.create_connection(target["webSocketDebuggerUrl"], suppress_origin=True, timeout=60)
        self.numbers = itertools.count(1)
        self.faults = []  # errors in the page
        self.requested = []  # addresses
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=30)

    def call(self, method: str, **parameters) -> dict:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.faults.append(json.dumps(message["params"]))
            if message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def value(self, expression: str):
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self, identifier: str) -> str:
        return self.value(f"document.getElementById('{identifier}').innerText")

    def wait(self, expression: str, seconds: float = 20) -> None:
        wait_until(lambda: self.value(expression), seconds, expression)

    def phase(self) -> str:
        """What the studio is doing, once that is not recording or asking the server."""
        self.wait("!['recording', 'checking', 'saving'].includes(document.body.dataset.phase)")
        return self.value("document.body.dataset.phase")

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.wait("document.getElementById('welcome') && !document.getElementById('welcome').hidden")

    def press(self, key: str) -> None:
        codes = {" ": ("Space", 32, " "), "Enter": ("Enter", 13, "\r"), "r": ("KeyR", 82, "r"), "l": ("KeyL", 76, "l")}
        code, number, text = codes[key]
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=number,
                **({"text": text} if kind == "keyDown" else {}),
            )  # fmt: skip

    def click(self, selector: str) -> None:
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def begin(self, name: str) -> None:
        """Fill in the form of a new speaker."""
        self.value(f"document.getElementById('name').value = '{name}'")
        self.click("input[value=publish]")
        self.click("#form button")

    def picture(self, name: str) -> None:
        """Pictures at the width of a desk and of a phone, light and dark; nothing is too wide, axe finds nothing."""
        for width, height, scheme in (
            (1180, 900, "light"),
            (360, 740, "light"),
            (360, 740, "dark"),
            (1180, 900, "dark"),
        ):
            self.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
            self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            time.sleep(0.2)
            assert self.value("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width}"
            if AXE.exists():
                found = "axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"
                assert self.value(f"{AXE.read_text(encoding='utf-8')};{found}") == [], name
            if SCREENSHOTS:
                data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
                (Path(SCREENSHOTS) / f"{name}-{width}-{scheme}.png").write_bytes(base64.b64decode(data))


def wait_until(true, seconds: float, what: str = "") -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def served(tmp_path):
    """A function that serves a folder, once more if need be; it returns the server."""
    running = []

    def serve(words: tuple | None = None, port: int = 0) -> recording_server.Server:
        server = Server(Session(tmp_path / "corpus", words, repetitions=1), port)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(server)
        return server

    yield serve
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def browser(tmp_path):
    """`browser(gain)`: Chromium whose microphone repeats a word every 2.6 s; with None, it may not be used."""
    opened = []

    def launch(gain: float | None = 0.3) -> Browser:
        arguments = ["--deny-permission-prompts"]
        if gain is not None:
            waveform = np.random.default_rng(0).normal(0, 0.0005, round(2.6 * RATE))
            word = gain * speak(7, "ada", 0)
            waveform[round(1.2 * RATE) :][: len(word)] += word
            path = tmp_path / "microphone.wav"
            soundfile.write(path, waveform.clip(-1, 1), RATE)
            arguments = [f"--use-file-for-fake-audio-capture={path}", "--use-fake-ui-for-media-stream"]
        opened.append(Browser(tmp_path / f"profile-{len(opened)}", *arguments))
        return opened[-1]

    yield launch
    for page in opened:
        page.close()


def record_word(page: Browser) -> None:
    """Record until the word was not cut by chance, since the microphone plays whatever the page does."""
    for _ in range(8):
        page.press(" ")
        if page.phase() == "review":
            return
        assert page.value("document.body.dataset.phase") == "refused"
    raise AssertionError(page.text("status"))


def test_the_page_uses_nothing_from_elsewhere():
    files = [path for path in PAGE.iterdir() if path.suffix != ".svg"]  # whose namespace looks like an address
    assert {path.suffix for path in files} == {".html", ".css", ".js"}
    for path in files:
        assert not re.search(r"//[\w-]+\.\w|@import|\burl\(", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
@needs_chromium
def test_a_speaker_records_every_digit(served, browser, tmp_path):
    server, page = served(), browser()
    address = f"http://localhost:{server.server_port}/"
    page.open(address)
    page.picture("welcome")
    page.begin("ada")
    page.wait("!document.getElementById('studio').hidden")
    words = []
    for done in range(10):
        assert page.text("count") == f"{done + 1} of 10"
        words.append(page.text("prompt"))
        if done == 0:
            page.picture("ready")
            page.press(" ")
            page.picture("recording")
            page.phase()
            page.press("r")  # repeat, whether or not it was good
            page.phase()
        record_word(page)
        if done == 1:
            page.picture("review")
        before = len(list((tmp_path / "corpus").glob("clips/*.wav")))
        assert before == done, "a clip was kept before the speaker accepted it"
        page.press("Enter")
        page.wait(f"document.getElementById('count').textContent != '{done + 1} of 10' || {done} == 9")
    page.wait("!document.getElementById('done').hidden")
    page.picture("done")

    clips = read_metadata(tmp_path / "corpus" / "metadata.tsv")
    assert clips["word"].tolist() == words and sorted(clips["label"]) == list(range(10))
    assert set(clips["speaker"]) == {"ada"} and set(clips["consent"]) == {"publish"}
    for path in clips["path"]:
        facts = soundfile.info(path)
        assert (facts.samplerate, facts.channels, facts.subtype) == (16000, 1, "PCM_16")
        assert 0.2 < facts.duration < 0.6
    assert not page.faults
    assert all(url.startswith((address, "data:")) for url in page.requested)


@pytest.mark.slow
@needs_chromium
def test_a_killed_server_and_a_closed_tab_lose_nothing(served, browser, tmp_path):
    server, page = served(), browser()
    address = f"http://localhost:{server.server_port}/"
    page.open(address)
    page.begin("ada")
    page.wait("!document.getElementById('studio').hidden")
    for done in (1, 2):
        record_word(page)
        if done == 2:
            server.shutdown()
            server.server_close()
            page.press("Enter")
            page.wait("document.getElementById('alert').textContent.includes('sdr record')")
            page.picture("server-gone")
            page.click("#leave")
            time.sleep(1)
            assert page.phase() == "review"
            served(port=server.server_port)
        page.press("Enter")
        page.wait(f"document.getElementById('count').textContent == '{done + 1} of 10'")
    third = page.text("prompt")

    page.open(address)  # as after closing the tab
    assert "2 of 10" in page.text("speakers")
    page.picture("welcome-again")
    page.click("#speakers button")
    page.wait("!document.getElementById('studio').hidden")
    assert (page.text("prompt"), page.text("count")) == (third, "3 of 10")

    page.click("#undo")
    page.wait("document.getElementById('count').textContent == '2 of 10'")
    assert len(read_metadata(tmp_path / "corpus" / "metadata.tsv")) == 1


@pytest.mark.slow
@needs_chromium
def test_clipping_is_shown(served, browser):
    page = browser(gain=9.0)
    page.open(f"http://localhost:{served().server_port}/")
    page.begin("ada")
    page.wait("document.getElementById('clip-lamp').classList.contains('on')")
    record_word(page)
    assert "distorted" in page.text("status") and "clipped" in page.text("facts")
    page.picture("clipped")


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("word", ["سبعة", "vierundzwanzigtausend", "trois cent soixante et un"])
def test_words_and_names_of_any_script_and_length_fit(served, browser, word):
    words = tuple((f"{word} {'abcdefghij'[digit]}",) for digit in range(10))
    page = browser()
    page.open(f"http://localhost:{served(words).server_port}/")
    page.begin("w" * 40)
    page.wait("!document.getElementById('studio').hidden")
    page.picture(f"word-{len(word)}")
    assert word in page.text("prompt")


@pytest.mark.slow
@needs_chromium
def test_a_microphone_that_is_not_allowed_is_reported(served, browser):
    page = browser(gain=None)
    page.open(f"http://localhost:{served().server_port}/")
    page.begin("ada")
    page.wait("document.getElementById('alert').textContent.includes('microphone')")
    assert page.value("document.getElementById('studio').hidden")
    page.picture("not-allowed")


NOTED = """
    const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.tracks = [];
    window.failure = null;
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      if (window.failure) throw new DOMException("", window.failure);
      const stream = await getUserMedia(wanted);
      window.tracks.push(...stream.getTracks());
      return stream;
    };
"""  # so that a test sees the page's microphones, and can refuse one


@pytest.mark.slow
@needs_chromium
def test_a_button_pressed_twice_opens_one_microphone(served, browser):
    page = browser()
    page.open(f"http://localhost:{served().server_port}/")
    page.value(NOTED)
    page.value("document.getElementById('name').value = 'ada'")
    page.value("document.querySelector('input[value=publish]').click()")
    page.value("for (let time = 0; time < 2; time += 1) document.querySelector('#form button').click()")
    page.wait("!document.getElementById('studio').hidden && window.tracks.length == 2")
    page.wait("window.tracks.filter(({ readyState }) => readyState == 'live').length == 1", 5)
    record_word(page)
    assert not page.faults


@pytest.mark.slow
@needs_chromium
def test_a_microphone_that_vanishes_may_come_back(served, browser):
    page = browser()
    page.open(f"http://localhost:{served().server_port}/")
    page.value(NOTED)
    page.begin("ada")
    page.wait("!document.getElementById('studio').hidden")
    page.value("window.failure = 'NotFoundError'; tracks[0].stop(); tracks[0].dispatchEvent(new Event('ended'))")
    assert "is gone" in page.text("alert")
    page.press(" ")
    page.wait("document.getElementById('alert').innerText.startsWith('No microphone was found.')")
    assert page.value("document.body.dataset.phase") == "ready"
    page.value("window.failure = 'NotReadableError'; document.getElementById('device').onchange()")
    page.wait("document.getElementById('alert').innerText.includes('another program')")
    page.press(" ")
    page.press(" ")
    time.sleep(0.5)
    assert page.value("document.body.dataset.phase") == "ready"
    page.value("window.failure = null")
    record_word(page)
    assert page.text("alert") == "" and not page.faults
