"""The web server of `sdr record`: a page on this machine alone, and the few requests that it makes of a `Session`."""

import base64
import json
import sys
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

import soundfile

from utils import InputError
from utils.applications.local_server import LocalServer, is_local
from utils.applications.recording.session import CONSENT, RATE, OutOfStep, Session, encode_wav
from utils.data.audio import read_audio
from utils.inference.utterance import Utterance, find_utterance

PAGE = Path(__file__).with_name("page")
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MAX_BYTES = 4_000_000  # of a request; ten seconds of 16-bit samples at 192 kHz fit
RATES = (8000, 192_000)  # Hz, that microphones have
WAIT = 30  # seconds for the rest of a request that does not come
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def serve(session: Session, port: int, speaker: str | None = None, browser: bool = True) -> None:
    """Serve the page until interrupted. Raises `InputError` if the port is taken."""
    with Server(session, port, speaker) as server:
        print(f"The page is at {server.address} (Ctrl-C ends it). Recordings go to {session.folder}.")
        print("Nothing leaves this machine.", flush=True)
        server.run(browser)
        server.lock.acquire()  # for good: a recording that is being kept is kept whole, and no other one begins


class Server(LocalServer):
    """Answers the page about one session."""

    def __init__(self, session: Session, port: int, speaker: str | None = None):
        self.session = session
        self.suggested = speaker or ""
        self.files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in TYPES}
        self.lock = threading.Lock()  # one recording at a time is analysed, and one is kept
        super().__init__(port, Handler)


class Refused(Exception):
    """A request that is answered with this HTTP status and message."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = WAIT
    server_version, sys_version = "sdr", ""

    def do_GET(self) -> None:
        self._answer({"/api/session": self._session, "/api/prompts": self._prompts}, self._file)

    def do_POST(self) -> None:
        self._answer({"/api/check": self._check, "/api/clips": self._keep, "/api/undo": self._undo})

    def log_message(self, *_) -> None: ...

    def _answer(self, actions: dict[str, Callable[[], dict]], otherwise: Callable[[], None] | None = None) -> None:
        """Answer a request with the JSON of its action, or with the message of what is wrong."""
        status = 200
        try:
            self._check_origin()
            action = actions.get(self._address().path)
            if action is None and otherwise:
                return otherwise()
            if action is None:
                raise Refused(404, "there is nothing at this address")
            content = action()
        except Refused as error:
            status, content = error.status, {"error": str(error)}
        except OutOfStep as error:
            status, content = 409, {"error": str(error)}
        except InputError as error:
            status, content = 400, {"error": str(error)}
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            print(f"sdr: a request failed ({type(error).__name__}: {error})", file=sys.stderr)
            status, content = 500, {"error": "something went wrong; the terminal says what"}
        self._send(status, "application/json", json.dumps(content).encode())

    def _check_origin(self) -> None:
        """Refuse what does not come from the page itself.

        Another site may make a browser send requests here, under its own name or under one that it points to this
        machine, and would then see or spoil recordings. `Host` and `Origin` are what a browser does not let it forge.
        """
        host = self.headers.get("Host", "")
        if not is_local(host):
            raise Refused(403, "this server answers only at localhost")
        origin = self.headers.get("Origin")
        if origin != f"http://{host}" and (origin is not None or self.command == "POST"):
            raise Refused(403, "this server answers only its own page")

    def _address(self) -> SplitResult:
        try:
            return urlsplit(self.path)
        except ValueError:  # such as ftp://[
            raise Refused(404, "there is nothing at this address") from None

    def _file(self) -> None:
        name = self._address().path.removeprefix("/") or "index.html"
        if name not in self.server.files:
            raise Refused(404, "there is nothing at this address")
        self._send(200, f"{TYPES[Path(name).suffix]}; charset=utf-8", self.server.files[name])

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(content), **HEADERS}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def _session(self) -> dict:
        session = self.server.session
        return {
            "folder": str(session.folder),
            "clips": 10 * session.repetitions,
            "suggested": self.server.suggested,
            "consent": CONSENT,
            "speakers": [vars(speaker) for speaker in session.speakers()],
        }

    def _prompts(self) -> dict:
        return self._state(self._parameter("speaker"))

    def _state(self, name: str) -> dict:
        """What a speaker has done and has to read next."""
        session = self.server.session
        return vars(session.speaker(name)) | {"prompts": [vars(prompt) for prompt in session.prompts(name)]}

    def _check(self) -> dict:
        """What is in a recording, and the clip that would be kept of it."""
        utterance = self._utterance()
        facts = {name: value for name, value in vars(utterance).items() if name != "clip"}
        return facts | {"clip": base64.b64encode(encode_wav(utterance.clip)).decode() if len(utterance.clip) else ""}

    def _keep(self) -> dict:
        """Keep the clip of a recording. The page sends the recording again, so that it may outlive the server."""
        name, consent, digit, done = map(self._parameter, ("speaker", "consent", "digit", "done"))
        utterance = self._utterance()
        if utterance.problem:
            raise Refused(400, utterance.problem)
        with self.server.lock:
            self.server.session.keep(name, consent, _number(digit), _number(done), utterance.clip)
        return self._state(name)

    def _undo(self) -> dict:
        name, done = map(self._parameter, ("speaker", "done"))
        self._body()
        with self.server.lock:
            self.server.session.undo(name, _number(done))
        return self._state(name)

    def _parameter(self, name: str) -> str:
        values = parse_qs(self._address().query).get(name, [])
        if len(values) != 1:
            raise Refused(400, f"the parameter '{name}' is missing or repeated")
        return values[0]

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise Refused(411, "the request does not give its length")
        if len(length) > 12 or int(length) > MAX_BYTES:
            raise Refused(413, f"a recording has at most {MAX_BYTES / 1e6:.0f} MB")
        try:
            body = self.rfile.read(int(length))
        except TimeoutError:
            body = b""
        if len(body) < int(length):
            raise Refused(400, "the request is not complete")
        return body

    def _utterance(self) -> Utterance:
        body = self._body()
        with self.server.lock:
            return read_utterance(body)


def read_utterance(wav: bytes) -> Utterance:
    """The word in a recording, a WAV file. Raises `InputError` if that is not what it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.wav"
        path.write_bytes(wav)
        try:
            if wav[:4] != b"RIFF":
                raise InputError(f"{path}: not a WAV file")
            rate = soundfile.info(path).samplerate
            if not RATES[0] <= rate <= RATES[1]:
                raise InputError(f"{path}: a sample rate of {rate} Hz, not {RATES[0]} to {RATES[1]}")
            return find_utterance(read_audio(path, rate), rate, RATE)
        except soundfile.LibsndfileError:
            raise InputError("the recording: not a WAV file, or a damaged one") from None
        except InputError as error:
            raise InputError(str(error).replace(str(path), "the recording")) from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Refused(400, f"'{text[:20]}' is not a number")
    return int(text)
