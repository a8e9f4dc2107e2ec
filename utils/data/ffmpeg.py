"""Recordings of phones, and the sound of videos: decoded by FFmpeg, as a process of its own with limits.

FFmpeg sees only files whose first bytes are those of such a recording, and is told which reader to use. Anything else
never reaches its other readers, of which there are hundreds.
"""

import re
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile

from utils import InputError

READERS = {  # FFmpeg's reader by the first bytes of a file
    rb"....(ftyp|moov|mdat|wide|free|skip)": "mov",  # M4A, 3GP, MP4, MOV
    rb"\x1a\x45\xdf\xa3": "matroska",  # WebM, MKV
    rb"#!AMR": "amr",
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf",  # WMA, WMV
    rb"caff": "caf",
    rb"\xff[\xf0\xf1\xf8\xf9]": "aac",
}
SUFFIXES = (".m4a", ".mp4", ".3gp", ".mov", ".webm", ".mkv", ".mka", ".amr", ".wma", ".wmv", ".aac")
MAX_ALLOCATION = 2**27  # bytes, at a time
TIME_LIMIT = 60.0  # seconds for a recording whose length is limited


def reader(start: bytes) -> str | None:
    """FFmpeg's reader for a file that begins with these bytes (16 are enough); None: not such a recording."""
    return next((name for pattern, name in READERS.items() if re.match(pattern, start, re.DOTALL)), None)


def program() -> str:
    """FFmpeg: the installed one, or that of the package imageio-ffmpeg. Raises `InputError` if there is none."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise InputError("needs FFmpeg: install it, or `pip install imageio-ffmpeg`") from None


@contextmanager
def decode(path: Path, kind: str, seconds: float | None) -> Iterator[soundfile.SoundFile]:
    """The sound of a recording, as a stream: the number of its samples is not known before its end.

    Args:
        path: of the recording.
        kind: from `reader`.
        seconds: no more than these are decoded, within a time limit; None: all, however long.

    Raises:
        InputError: there is no FFmpeg, the recording has no sound, it is truncated or damaged, or takes too long.
    """
    try:
        command = [program(), "-nostdin", "-hide_banner", "-v", "error", "-max_alloc", str(MAX_ALLOCATION)]
    except InputError as error:
        raise InputError(f"{path}: a recording of this kind {error}") from None
    if _is_cut(path, kind):
        raise InputError(f"{path}: truncated or damaged: its header announces more than there is")
    command += ["-threads", "1", "-protocol_whitelist", "file", "-f", kind, "-i", f"file:{path}", "-map", "0:a:0"]
    command += [*([] if seconds is None else ["-t", str(seconds)]), "-c:a", "pcm_f32le", "-f", "wav", "-"]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        alarm = threading.Timer(TIME_LIMIT, stop)
        if seconds is not None:
            alarm.start()
        try:
            assert process.stdout is not None
            with soundfile.SoundFile(process.stdout.fileno(), closefd=False) as file:
                yield file
            process.wait()
        except soundfile.LibsndfileError:  # FFmpeg gave nothing, and says why
            process.wait()
        finally:
            alarm.cancel()
            process.kill()
        complaints.seek(0)
        said = complaints.read(10_000).decode(errors="replace")
    if late.is_set():
        raise InputError(f"{path}: FFmpeg took more than {TIME_LIMIT:.0f} s to read it")
    if "matches no streams" in said:
        raise InputError(f"{path}: contains no sound")
    if said or process.returncode:
        why = re.sub(r"\[[^\]]*\] ?", "", said).strip().split("\n")[0][:200]
        raise InputError(f"{path}: truncated or damaged (FFmpeg: {why or 'no reason given'})")


def _is_cut(path: Path, kind: str) -> bool:
    """Whether a recording ends before its last part does, for the two kinds of which FFmpeg would read what is left."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        if kind == "asf":  # the object "file properties" has the size of the file
            start = file.read(5000)
            at = start.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
            return at >= 0 and int.from_bytes(start[at + 40 : at + 48], "little") > size
        at = 0
        while kind == "mov" and at < size:  # boxes, each with its length and its name
            file.seek(at)
            length, _, long = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            length = long if length == 1 else length or size - at
            if length < 8 or at + length > size:
                return True
            at += length
    return False
