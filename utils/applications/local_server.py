"""Web servers for this machine alone: of the demo page and of the page of `sdr record`."""

import re
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from utils import InputError


class LocalServer(ThreadingHTTPServer):
    """Listens on a port of this machine; 0 is any free one. Raises `InputError` if another program has the port."""

    # which Windows, unlike others, understands as leave to share a port with a server that is running
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, port: int, handler: Callable[..., BaseHTTPRequestHandler]):
        try:
            super().__init__(("127.0.0.1", port), handler)
        except OSError as error:
            raise InputError(f"port {port}: {error.strerror}; choose another with --port") from None
        self.address = f"http://localhost:{self.server_port}/"

    def run(self, browser: bool) -> None:
        """Answer until interrupted, and open the page in a browser if `browser` is set."""
        with suppress(KeyboardInterrupt):
            if browser:  # in a thread: some browsers, such as those in the terminal, return only when they are closed
                threading.Thread(target=webbrowser.open, args=(self.address,), daemon=True).start()
            self.serve_forever()

    def handle_error(self, request, client_address) -> None:
        """One line instead of a traceback; a browser that has left is no error."""
        if not isinstance(error := sys.exception(), ConnectionError | TimeoutError):
            print(f"sdr: a request failed ({type(error).__name__}: {error})", file=sys.stderr)


def is_local(host: str) -> bool:
    """Whether the `Host` of a request is this machine, and not a site whose name was made to point here."""
    return re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d{1,5})?", host, re.ASCII) is not None
