"""The demo: the page is served, built where it can be, and replaced by the Gradio app where it cannot."""

import importlib.util
import json
import socket
import sys
import threading
import types
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from utils import InputError
from utils.experiments import page
from utils.experiments.page import serve
from utils.inference.recogniser import load
from utils.paths import PROJECT

sys.path.insert(0, str(PROJECT / "demo"))  # the app is a script, not a part of a package


@pytest.fixture
def page(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "index.html").write_text("<title>a page</title>")
    monkeypatch.setattr(demo, "PAGE", folder)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_page_is_served_on_this_machine(page, capsys):
    port = free_port()
    threading.Thread(target=serve, args=(port,), kwargs={"browser": False}, daemon=True).start()
    for _ in range(100):
        try:
            answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
            break
        except OSError:
            threading.Event().wait(0.05)
    assert answer == b"<title>a page</title>"
    assert f"http://localhost:{port}/" in capsys.readouterr().out
    with pytest.raises(InputError, match=f"port {port}.*--port"):
        serve(port, browser=False)


def test_without_node_the_gradio_app_opens(page, monkeypatch, capsys):
    (page / "index.html").unlink()
    started, ended = [], SimpleNamespace(returncode=0)
    monkeypatch.setattr(page.shutil, "which", lambda name: None)
    monkeypatch.setattr(page.subprocess, "run", lambda command, **_: started.append(command) or ended)
    monkeypatch.setitem(sys.modules, "gradio", types.ModuleType("gradio"))
    serve(7861, browser=False)
    assert started == [[sys.executable, str(PROJECT / "demo" / "app.py"), "--port", "7861"]]
    assert "needs Node.js" in capsys.readouterr().out
    ended.returncode = 1
    with pytest.raises(InputError, match="status 1"):
        serve(7861, browser=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match="pip install gradio"):
        serve(7861, browser=False)


def test_a_build_that_fails_says_what_npm_said(page, monkeypatch):
    monkeypatch.setattr(demo, "save_model", lambda folder: None)
    monkeypatch.setattr(page.shutil, "which", lambda name: r"C:\nodejs\npm.CMD")
    started, failed = [], SimpleNamespace(returncode=1, stdout="", stderr="npm error: no network")
    monkeypatch.setattr(page.subprocess, "run", lambda command, **_: started.append(command) or failed)
    with pytest.raises(InputError, match="^npm ci.*no network"):
        serve(8000, build=True)
    assert [command[:2] for command in started] == [[r"C:\nodejs\npm.CMD", "ci"]]


def test_the_page_gets_the_model_and_its_facts(trained, tmp_path):
    pytest.importorskip("onnxscript")
    page.save_model(tmp_path, trained.checkpoint)
    facts = json.loads((tmp_path / "digits.json").read_text())
    assert facts == {"name": "tiny", "sample_rate": 8000, "threshold": 0.0, "parameters": trained.result["parameters"]}
    assert (tmp_path / "digits.onnx").stat().st_size > 1000


@pytest.fixture
def app(monkeypatch, trained):
    """The Gradio app's module, on the small trained model."""
    if importlib.util.find_spec("gradio") is None:  # what it hears does not need the package
        monkeypatch.setitem(sys.modules, "gradio", MagicMock())
    monkeypatch.setattr("utils.inference.recogniser.load", lambda: load(trained.checkpoint))
    sys.modules.pop("app", None)
    import app

    return app


def test_the_gradio_app_keeps_and_sends_nothing(app):
    if isinstance(app.gr, MagicMock):
        pytest.skip("gradio is not installed")
    assert app.app.delete_cache == (60, 60) and app.app.flagging_mode == "never" and not app.app.analytics_enabled


def test_the_gradio_app_hears_a_recording(app, corpus):
    import soundfile

    samples, rate = soundfile.read(corpus.folder / "7_eve_1.wav", dtype="int16")
    for recording in ((rate, samples), (rate, np.stack([samples, samples], axis=1)), (2 * rate, samples.repeat(2))):
        says, chances = app.hear(recording)
        assert says == "I heard 7." and len(chances) == 3 and max(chances, key=chances.get) == "7"


@pytest.mark.parametrize(
    ("recording", "says"),
    [
        (None, "Record a digit"),
        ((8000, np.zeros(4000, np.int16)), "silence"),
        ((8000, np.zeros(0, np.int16)), "Record a digit"),
        ((8000, np.full(4000, np.nan, np.float32)), "silence"),
        ((8000, np.ones(30 * 8000, np.int16)), "30 s long"),
    ],
)
def test_the_gradio_app_says_what_is_wrong(app, recording, says):
    sentence, chances = app.hear(recording)
    assert says in sentence and chances == {}
