"""Recordings as phones make them, and videos, encoded by FFmpeg."""

import subprocess
from pathlib import Path

import numpy as np
from conftest import write_wav

from utils import InputError
from utils.data import ffmpeg

try:
    FFMPEG = ffmpeg.program()
except InputError:
    FFMPEG = ""

VIDEO = ("-f", "lavfi", "-i", "color=c=red:s=64x64:d=1")
KINDS = {
    "clip.m4a": ("-c:a", "aac"),
    "lossless.m4a": ("-c:a", "alac"),
    "clip.webm": ("-ar", "48000", "-c:a", "libopus"),
    "clip.amr": ("-c:a", "libopencore_amrnb", "-b:a", "12.2k"),
    "clip.3gp": ("-c:a", "libopencore_amrnb", "-b:a", "12.2k"),
    "clip.caf": ("-c:a", "adpcm_ima_qt"),
    "clip.wma": ("-c:a", "wmav2"),
    "clip.aac": ("-c:a", "aac"),
    "video.mp4": (*VIDEO, "-c:v", "mpeg4", "-c:a", "aac"),
    "video.webm": (*VIDEO, "-c:v", "libvpx", "-ar", "48000", "-c:a", "libopus"),
    "video.mov": (*VIDEO, "-c:v", "mpeg4", "-af", "pan=stereo|c0=c0|c1=c0", "-ar", "44100", "-c:a", "aac"),
}


def encode(path: Path, sound: np.ndarray, kind: str) -> Path:
    wav = write_wav(path.with_suffix(".wav"), sound)
    options = KINDS[kind] if path.suffix == Path(kind).suffix else ()
    subprocess.run([FFMPEG, "-v", "error", "-y", "-i", wav, *options, path], check=True, stdin=subprocess.DEVNULL)
    wav.unlink()
    return path
