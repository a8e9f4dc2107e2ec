"""The demo: the page is built and served, or the Gradio app opens in its place."""

import http.client
import importlib.util
import json
import queue
import re
import socket
import struct
import sys
import threading
import types
import urllib.request
import webbrowser
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from conftest import tone, write_wav

from utils import InputError
from utils.applications import demo
from utils.applications.demo import serve
from utils.applications.local_server import LocalServer
from utils.experiments.checkpoints import load_recogniser
from utils.paths import PROJECT

sys.path.insert(0, str(PROJECT / "demo"))  # the app is a script, not a part of a package


@pytest.fixture
def built_page(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "index.html").write_text("<title>a page</title>")
    monkeypatch.setattr(demo, "PAGE", folder)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_page_is_served_on_this_machine(built_page, capsys):
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
    for host, status in (("localhost", 200), ("elsewhere.example", 403), (f"127.0.0.1:{port}", 200), ("", 403)):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        assert answer.status == status, host
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"


def test_a_browser_that_waits_for_the_page_gets_it(built_page, monkeypatch):
    """As one in the terminal does, which returns only when it is closed."""
    seen = queue.Queue()
    monkeypatch.setattr(webbrowser, "open", lambda page: seen.put(urllib.request.urlopen(page, timeout=5).read()))
    with LocalServer(0, partial(demo.Quiet, directory=str(built_page))) as server:
        threading.Thread(target=server.run, args=(True,), daemon=True).start()
        assert seen.get(timeout=10) == b"<title>a page</title>"
        server.shutdown()


@pytest.mark.parametrize("path", ["/index.html%00.js", "/../test_serving.py", "/%2e%2e/x", "//[", "http://["])
def test_an_address_of_nothing_is_not_found(built_page, capfd, path):
    with LocalServer(0, partial(demo.Quiet, directory=str(built_page))) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.request("GET", path, headers={"Host": "localhost"})
        assert connection.getresponse().status == 404
    assert capfd.readouterr().err == ""


def test_a_browser_that_leaves_in_the_middle_is_no_error(built_page, capfd):
    server = LocalServer(0, partial(demo.Quiet, directory=str(built_page)))
    server.daemon_threads = False  # closing it waits for the thread that answers
    with server, socket.create_connection(server.server_address) as browser:
        browser.send(b"GET / HTTP/1.1\r\n")  # half of a request
        # closing resets the connection
        browser.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        )
        browser.close()
        server.handle_request()
    assert capfd.readouterr().err == ""


def test_the_page_may_connect_to_no_other_host():
    """Its content security policy names no host but its own."""
    html = (PROJECT / "demo" / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', html)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'"
    allowed = {"'none'", "'self'", "'wasm-unsafe-eval'", "blob:"}
    assert {source for sources in rules.values() for source in sources.split()} <= allowed


def test_without_node_the_gradio_app_opens(built_page, monkeypatch, capsys):
    (built_page / "index.html").unlink()
    started, ended = [], SimpleNamespace(returncode=0)
    monkeypatch.setattr(demo.shutil, "which", lambda name: None)
    monkeypatch.setattr(demo.subprocess, "run", lambda command, **_: started.append(command) or ended)
    monkeypatch.setitem(sys.modules, "gradio", types.ModuleType("gradio"))
    serve(7861, browser=False)
    assert started == [[sys.executable, str(PROJECT / "demo" / "app.py"), "--port", "7861"]]
    assert "needs Node.js" in capsys.readouterr().out
    ended.returncode = 1
    with pytest.raises(InputError, match="exit status 1"):
        serve(7861, browser=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match="pip install gradio"):
        serve(7861, browser=False)


def test_a_failed_build_reports_the_error_of_npm(built_page, monkeypatch):
    monkeypatch.setattr(demo, "save_model", lambda folder: None)
    monkeypatch.setattr(demo.shutil, "which", lambda name: r"C:\nodejs\npm.CMD")
    started, failed = [], SimpleNamespace(returncode=1, stdout="", stderr="npm error: no network")
    monkeypatch.setattr(demo.subprocess, "run", lambda command, **_: started.append(command) or failed)
    with pytest.raises(InputError, match="^npm ci.*no network"):
        serve(8000, build=True)
    assert [command[:2] for command in started] == [[r"C:\nodejs\npm.CMD", "ci"]]


def test_the_files_of_the_page_s_models(trained, tmp_path):
    pytest.importorskip("onnxscript")
    demo.save_model(tmp_path, trained.checkpoint)
    divided = json.loads((tmp_path / "strings.json").read_text())
    parts = {"hop", "margin", "stride", "context", "slope", "shift", "units"}
    assert {"name", "parameters", "sample_rate"} | parts == set(divided)
    assert (tmp_path / "strings.onnx").stat().st_size < 450_000
    with pytest.raises(InputError, match="not a model of strings"):
        demo.save_model(tmp_path, trained.checkpoint, trained.checkpoint)
    facts = json.loads((tmp_path / "digits.json").read_text())
    assert facts == {"name": "tiny", "sample_rate": 8000, "threshold": 0.0, "parameters": trained.result["parameters"]}
    assert (tmp_path / "digits.onnx").stat().st_size > 1000


@pytest.fixture
def app(monkeypatch, trained):
    """The module of the Gradio app, with the small trained model."""
    if importlib.util.find_spec("gradio") is None:  # its answers do not depend on the package
        monkeypatch.setitem(sys.modules, "gradio", MagicMock())
    small = load_recogniser(trained.checkpoint)
    monkeypatch.setattr("utils.experiments.checkpoint_folder.load_quickly", lambda *_: small)
    sys.modules.pop("app", None)
    import app

    return app


def test_the_gradio_app_neither_keeps_nor_sends_recordings(app):
    if isinstance(app.gr, MagicMock):
        pytest.skip("gradio is not installed")
    assert app.app.delete_cache == (60, 60) and app.app.flagging_mode == "never" and not app.app.analytics_enabled


def test_the_gradio_app_recognises_a_recording(app, corpus):
    says, chances = app.recognise(str(corpus.folder / "7_eve_1.wav"))
    assert says == "Recognised as 7." and len(chances) == 3 and max(chances, key=chances.get) == "7"
    assert app.recognise(str(corpus.folder / "7_eve_1.wav"), several=True) == ("Recognised as 7.", {})


@pytest.mark.parametrize(
    ("seconds", "level", "says"), [(0.5, 0, "The recording: contains only silence"), (30, 0.5, "30.0 s long")]
)
def test_the_gradio_app_explains_unusable_recordings(app, tmp_path, seconds, level, says):
    assert "Record a digit" in app.recognise(None)[0]
    sentence, chances = app.recognise(str(write_wav(tmp_path / "clip.wav", tone(300, seconds, level=level))))
    assert says in sentence and chances == {}
