"""The demo: a web page that runs the exported model in the browser, or a Gradio app if the page cannot be built."""

import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from utils import InputError
from utils.applications.local_server import LocalServer, is_local
from utils.experiments.checkpoint_folder import DEFAULT, STRINGS
from utils.experiments.checkpoints import load_recogniser
from utils.experiments.exporting import export_checkpoint
from utils.files import write_json
from utils.inference.strings import StringRecogniser
from utils.paths import PROJECT

DEMO = PROJECT / "demo"
PAGE = DEMO / "dist"


def serve(port: int, build: bool = False, browser: bool = True) -> None:
    """Serve the page on localhost until interrupted. It is built first if `build` is set or if it does not exist."""
    if build or not (PAGE / "index.html").exists():
        if shutil.which("npm") is None:
            print("Building the demo page needs Node.js, and there is no npm here. This is the Gradio app instead.")
            return gradio(port, browser)
        build_page()
    with LocalServer(port, partial(Quiet, directory=str(PAGE))) as server:
        print(f"The page is at {server.address} (Ctrl-C ends it). Your recordings stay on this machine.")
        server.run(browser)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files to this machine without logging each request. (Windows may report scripts as plain text.)"""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".js": "text/javascript"}

    def log_message(self, *_) -> None: ...

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if is_local(self.headers.get("Host", "")):
            return True
        self.send_error(403, "this server answers only at localhost")
        return False

    def send_head(self) -> Any:
        try:
            return super().send_head()
        except ValueError:  # a null byte, which no name of a file can hold
            self.send_error(404, "there is nothing at this address")
            return None

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")  # which a page cannot say of itself
        super().end_headers()

    def copyfile(self, *files) -> None:
        with suppress(ConnectionError):  # the browser closed or reloaded the page
            super().copyfile(*files)


def build_page() -> None:
    """Export the project's model and build the page with npm, in `demo/dist`."""
    save_model(DEMO / "public" / "model")
    npm = shutil.which("npm") or "npm"  # on Windows it is npm.cmd, which "npm" does not start
    for command in ("npm ci --ignore-scripts --no-audit --no-fund", "npm run build"):
        print(command, flush=True)
        done = subprocess.run(
            [npm, *command.split()[1:]], cwd=DEMO, capture_output=True, encoding="utf-8", errors="replace"
        )
        if done.returncode:
            reason = " ".join((done.stderr or done.stdout).split())[-500:]
            raise InputError(f"{command} in {DEMO} failed: {reason}")


def save_model(folder: Path, digits: str | Path = DEFAULT, strings: str | Path = STRINGS) -> None:
    """Write the files that the page needs: the two models, and a JSON file of facts for each.

    `digits.json` has the sample rate and the threshold, `strings.json` the sample rate, how the model divides a sound
    (`Steps`), the scaling of its probabilities (`PlattScaling`), and the size of its state. The weights of
    `strings.onnx` are integers.
    """
    one, several = load_recogniser(digits), load_recogniser(strings)
    if not isinstance(several, StringRecogniser):
        raise InputError(f"{strings}: not a model of strings")
    export_checkpoint(digits, folder / "digits.onnx")
    export_checkpoint(strings, folder / "strings.onnx", int8=True)
    divided = asdict(several.divided) | asdict(several.scaling) | {"units": several.model.recurrent.hidden_size}
    for name, recogniser, further in (
        ("digits", one, {"threshold": one.calibration.threshold}),
        ("strings", several, divided),
    ):
        facts = {"name": recogniser.name, "sample_rate": recogniser.sample_rate}
        facts |= {"parameters": sum(weight.numel() for weight in recogniser.model.parameters())} | further
        write_json(folder / f"{name}.json", facts)


def gradio(port: int, browser: bool) -> None:
    """Open the Gradio app."""
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise InputError("the Gradio app requires gradio: `pip install gradio`") from None
    command = [sys.executable, str(DEMO / "app.py"), "--port", str(port), *(["--browser"] if browser else [])]
    with suppress(KeyboardInterrupt):
        if status := subprocess.run(command, cwd=PROJECT, check=False).returncode:
            raise InputError(f"the Gradio app failed with exit status {status}")
