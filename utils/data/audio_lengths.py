"""Whether an audio file is as long as its header announces: libsndfile would silently read what there is."""

import math
import re
import struct
from pathlib import Path
from typing import BinaryIO

import soundfile

from utils import InputError

UNKNOWN = 2**62  # frames, or bytes, of a file that was written to a pipe, or more
TRUNCATED = "the file is truncated: its header announces more audio than there is"
LONGER = "the file is damaged: more follows its samples than its header announces; save it again"
NIST = re.compile(rb"NIST_1A\n\s*(\d+)\n")  # the size of the header
NIST_SIZES = (b"sample_count", b"channel_count", b"sample_n_bytes")
TEXT = re.compile(rb"[ -~]{4}")  # the name of a chunk, or a tag
# what libsndfile notes of files of these formats; of others, it would be said of some that are whole
NOTED, MISFIT = ("MAT4", "SVX", "VOC", "WVE"), re.compile("truncated|multi-segment|should be")
LISTED, FRAMES = ("AVR", "MPC2K"), re.compile(r"Frames +: (\d+)")


def check_length(path: Path) -> None:
    """Raise `InputError` if a file ends before its samples do, or something follows them that is no part of it."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        end = _announced_end(file)
        if end is None:
            return
        if end > size:
            raise InputError(f"{path}: {TRUNCATED}")
        file.seek(end + end % 2)  # chunks begin at even bytes
        follows = file.read(4)
    if len(follows) == 4 and any(follows) and not TEXT.fullmatch(follows):  # nor padding
        raise InputError(f"{path}: {LONGER}")


def check_log(path: Path, file: soundfile.SoundFile) -> None:
    """Raise `InputError` if libsndfile, which has opened a file, noted that it is shorter or longer than announced."""
    noted = file.format in NOTED and MISFIT.search(file.extra_info)
    listed = file.format in LISTED and FRAMES.search(file.extra_info)
    if noted or (listed and int(listed[1]) != file.frames):
        raise InputError(f"{path}: the file is truncated or damaged: its header announces another length")


def _announced_end(file: BinaryIO) -> int | None:
    """Where the samples of a file end, or the file itself, by its header. None if it does not say."""
    start = file.read(1024).ljust(28, b"\0")
    match start[:4]:
        case b"RF64":  # its chunk ds64 has the sizes
            return 8 + int.from_bytes(start[20:28], "little")
        case b"riff":  # W64
            length = int.from_bytes(start[16:24], "little")
            return length if length < UNKNOWN else None
        case b".snd":  # AU
            offset, length = struct.unpack(">II", start[4:12])
            return None if length == 0xFFFFFFFF else offset + length
        case b"NIST":
            return _end_of_nist(start)
        case b"RIFF":
            return _end_of_chunk(file, 12, "<4sI")
        case b"RIFX" | b"FORM":  # WAV and AIFF
            return _end_of_chunk(file, 12, ">4sI")
        case b"caff":
            return _end_of_chunk(file, 8, ">4sQ")
    return None


def _end_of_chunk(file: BinaryIO, first: int, form: str) -> int | None:
    """Where the samples end in a file of chunks, the first of which is at byte `first`. `form`: of a chunk's header."""
    streamed = 0x7FFF0000 if form.endswith("I") else UNKNOWN
    file.seek(first)
    while len(header := file.read(struct.calcsize(form))) == struct.calcsize(form):
        name, length = struct.unpack(form, header)
        if name in (b"data", b"SSND"):
            return file.tell() + length if 0 < length < streamed else None  # written to a pipe, so it was unknown
        file.seek(length + (length % 2 if form.endswith("I") else 0), 1)
    return None


def _end_of_nist(start: bytes) -> int | None:
    """Of a NIST SPHERE file, by the lines of its header, such as `sample_count -i 4000`."""
    known = {name: int(value) for name, value in re.findall(rb"^(\w+) -\w+ (\d+)\s*$", start, re.MULTILINE)}
    header = NIST.match(start)
    if header is None or b"embedded" in start or not known.keys() >= set(NIST_SIZES):  # compressed, or not said
        return None
    return int(header[1]) + math.prod(known[name] for name in NIST_SIZES)
