"""The demo: a page that runs the exported model in the browser, or a Gradio app where the page cannot be built."""

import json
import shutil
import subprocess
import sys
import webbrowser
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from utils import InputError
from utils.experiments.checkpoints import DEFAULT, load_recogniser
from utils.experiments.exporting import export_checkpoint
from utils.files import write_atomically
from utils.paths import PROJECT

DEMO = PROJECT / "demo"
PAGE = DEMO / "dist"


def serve(port: int, build: bool = False, browser: bool = True) -> None:
    """Serve the page on this machine alone until interrupted; it is built first where it has not been, or on demand."""
    if build or not (PAGE / "index.html").exists():
        if shutil.which("npm") is None:
            print("The demo page needs Node.js to be built, and there is no npm here: this is the Gradio app instead.")
            return gradio(port, browser)
        build_page()
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(PAGE)))
    except OSError as error:
        raise InputError(f"port {port}: {error.strerror}; choose another with --port") from None
    address = f"http://localhost:{port}/"
    print(f"The page is at {address} (Ctrl+C ends it). Nothing that you say leaves this machine.")
    if browser:
        webbrowser.open(address)
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and does not write a line about each. (Windows may call a script plain text.)"""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".js": "text/javascript"}

    def log_message(self, *_) -> None: ...

    def copyfile(self, *files) -> None:
        with suppress(ConnectionError):  # the browser has left, or loads the page anew
            super().copyfile(*files)


def build_page() -> None:
    """Export the project's model and build the page with it, by npm, in `demo/dist`."""
    save_model(DEMO / "public" / "model")
    npm = shutil.which("npm") or "npm"  # on Windows npm.cmd, which is not started by "npm"
    for command in ("npm ci --ignore-scripts --no-audit --no-fund", "npm run build"):
        print(command, flush=True)
        done = subprocess.run([npm, *command.split()[1:]], cwd=DEMO, capture_output=True, text=True)
        if done.returncode:
            why = " ".join((done.stderr or done.stdout).split())[-500:]
            raise InputError(f"{command} in {DEMO} failed: {why}")


def save_model(folder: Path, checkpoint: str | Path = DEFAULT) -> None:
    """What the page needs of a checkpoint: `digits.onnx`, and `digits.json` with its sample rate and threshold."""
    recogniser = load_recogniser(checkpoint)
    export_checkpoint(checkpoint, folder / "digits.onnx")
    facts = {
        "name": recogniser.name,
        "sample_rate": recogniser.features.sample_rate,
        "threshold": recogniser.calibration.threshold,
        "parameters": sum(weight.numel() for weight in recogniser.model.parameters()),
    }
    write_atomically(folder / "digits.json", lambda path: path.write_text(json.dumps(facts) + "\n", encoding="utf-8"))


def gradio(port: int, browser: bool) -> None:
    """Open the Gradio app."""
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise InputError("the Gradio app needs gradio: `pip install gradio`") from None
    command = [sys.executable, str(DEMO / "app.py"), "--port", str(port), *(["--browser"] if browser else [])]
    with suppress(KeyboardInterrupt):
        if status := subprocess.run(command, cwd=PROJECT, check=False).returncode:
            raise InputError(f"the Gradio app ended with status {status}")
