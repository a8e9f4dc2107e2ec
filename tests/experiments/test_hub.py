"""Publishing on the Hugging Face Hub: a local double of it takes what `sdr push` sends, and gives it back."""

import base64
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from utils.experiments.checkpoint_folder import CALIBRATION
from utils.experiments.checkpoints import load_recogniser

pytest.importorskip("huggingface_hub")
TOKEN = "hf_made_up"


class Hub(BaseHTTPRequestHandler):
    """Answers like the Hub, for files that need no large file storage."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid credentials"})
        if self.server.full:
            return self.answer(507, {"error": "no space left"})
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            return self.answer(200, {"url": f"http://{self.headers['Host']}/owner/mine"})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if self.path == "/api/models/owner/mine/preupload/main":
            files = [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            return self.answer(200, {"files": files})
        assert self.path == "/api/models/owner/mine/commit/main"
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = f"http://{self.headers['Host']}/owner/mine/commit/{'0' * 40}"
        return self.answer(200, {"success": True, "commitOid": "0" * 40, "commitUrl": commit})

    def do_GET(self):
        name = self.path.removeprefix("/owner/mine/resolve/main/")
        content = self.server.files.get(name)
        self.answer(404 if content is None else 200, content or b"")

    def answer(self, status, content):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("utils.experiments.hub.CACHE", tmp_path / "cache")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.files, server.created, server.full = {}, [], False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


@pytest.fixture
def checkpoint(trained, tmp_path):
    """A checkpoint with a calibration, and a file beside it that is not part of it."""
    folder = tmp_path / "mine"
    shutil.copytree(trained.checkpoint, folder)
    (folder / CALIBRATION).write_text('{"temperature": 0.5, "threshold": 0.25}')
    (folder / "diary.txt").write_text("private")
    return folder


def test_what_is_pushed_can_be_loaded_from_there(sdr, hub, checkpoint, corpus, tmp_path):
    done = sdr("push", "owner/mine", checkpoint)
    assert (done.status, done.out) == (0, f"http://127.0.0.1:{hub.server_port}/owner/mine\n"), done
    published, own = load_recogniser("owner/mine"), load_recogniser(checkpoint)
    clips = corpus.clips["path"].tolist()[:5]
    assert published.predict(clips) == own.predict(clips) and published.calibration.threshold == 0.25
    assert hub.created[0]["name"] == "mine" and "private" not in hub.created[0].values()


def test_the_card_is_pushed_with_its_metadata_and_nothing_that_is_not_of_the_checkpoint(sdr, hub, checkpoint):
    sdr("push", "owner/mine", checkpoint, "--private")
    assert (
        "diary.txt" not in hub.files and {"best_model.pt", "config_snapshot.yaml", "metrics.json"} <= hub.files.keys()
    )
    card = hub.files["README.md"].decode()
    assert card.startswith("---\npipeline_tag: audio-classification\n")
    assert card.endswith((checkpoint / "README.md").read_text())
    assert hub.created[0].get("private") or hub.created[0].get("visibility") == "private"  # by the library's version


def test_a_second_push_replaces_what_was_downloaded_before(sdr, hub, checkpoint):
    sdr("push", "owner/mine", checkpoint)
    assert load_recogniser("owner/mine").calibration.threshold == 0.25
    (checkpoint / CALIBRATION).write_text('{"temperature": 0.5, "threshold": 0.75}')
    assert sdr("push", "owner/mine", checkpoint).status == 0
    assert load_recogniser("owner/mine").calibration.threshold == 0.75


def test_without_a_token_nothing_is_sent(sdr, hub, checkpoint, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    sdr("push", "owner/mine", checkpoint).refused("no token", "hf auth login", "HF_TOKEN")
    assert not hub.created


def test_a_refusal_of_the_hub_is_one_line(sdr, hub, checkpoint, monkeypatch):
    hub.full = True
    sdr("push", "owner/mine", checkpoint).refused("owner/mine: refused by the Hub", "507", "no space left")
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    sdr("push", "owner/mine", checkpoint).refused("owner/mine: refused by the Hub", "401", "no right to write")


def test_without_a_network_is_one_line(sdr, hub, checkpoint):
    hub.shutdown()
    hub.server_close()
    sdr("push", "owner/mine", checkpoint).refused("owner/mine: not published", "is there a network?")


def test_what_is_no_checkpoint_or_no_name_is_refused(sdr, hub, checkpoint, tmp_path):
    sdr("push", "mine", checkpoint).refused("'mine'", "OWNER/NAME")
    sdr("push", "owner/mine", tmp_path / "none").refused("none: not a checkpoint: no such folder")
    sdr("push", "owner/mine", tmp_path / "cache").refused("not a checkpoint")
    (checkpoint / "README.md").unlink()
    sdr("push", "owner/mine", checkpoint).refused("has no model card")
    (checkpoint / "README.md").write_bytes("Größe".encode("latin-1"))
    sdr("push", "owner/mine", checkpoint).refused("README.md: not a text file in UTF-8")
    for name, why in ((CALIBRATION, "not JSON"), ("metrics.json", "not JSON"), ("model.onnx", "of these weights")):
        (checkpoint / name).write_bytes(b"damaged")
        sdr("push", "owner/mine", checkpoint).refused(name, why)
        (checkpoint / name).unlink()
    (checkpoint / "best_model.pt").write_bytes(b"damaged")
    sdr("push", "owner/mine", checkpoint).refused("best_model.pt", "damaged")
    assert not hub.created
