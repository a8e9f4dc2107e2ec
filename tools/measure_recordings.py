"""Measure `sdr predict` on recordings as people send them: 100 clips of the course's DEV speakers in every condition.

    SDR_SPEECH_DATA=... python tools/measure_recordings.py          # measure anew, and write the table
    python tools/measure_recordings.py --check                      # fail if the table is not what was measured

Writes results/recordings.json and, from it, the table in docs/using_it.md. Needs the recordings of `sdr data sdr` and
an FFmpeg that encodes AMR, such as that of the package imageio-ffmpeg.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import page_tables
import pandas as pd
import soundfile

from utils.commands import arguments
from utils.data.audio import convert_rate, read_audio
from utils.data.ffmpeg import program
from utils.data.metadata import read_metadata
from utils.files import write_json
from utils.paths import COURSE_METADATA, PROJECT
from utils.progress import Progress

RATE = 8000  # of the course's recordings, in Hz
OUTPUT = PROJECT / "results" / "recordings.json"
BEGIN = "<!-- recordings, by tools/measure_recordings.py -->"
SDR = [sys.executable, "-c", "from utils.commands.main import main; main()"]
ENCODERS = {  # FFmpeg's options
    "AMR": ("amr", "-ar", "8000", "-c:a", "libopencore_amrnb", "-b:a", "12.2k"),
    "Opus in WebM": ("webm", "-ar", "48000", "-c:a", "libopus", "-b:a", "32k"),
    "AAC in M4A": ("m4a", "-ar", "44100", "-c:a", "aac", "-b:a", "64k"),
    "MP3 of 32 kbit/s": ("mp3", "-c:a", "libmp3lame", "-b:a", "32k"),
}


def _peak(word: np.ndarray) -> np.ndarray:
    """A word at a peak of half of full scale, so that nothing else clips."""
    return 0.5 * word / np.abs(word).max()


def _after_click(word: np.ndarray) -> np.ndarray:
    """A click of 10 ms, then silence with faint noise; the word begins 1.4 s after the click."""
    draw = np.random.default_rng(len(word))
    sound = np.pad(_peak(word), (round(1.6 * RATE), round(0.3 * RATE))) + 0.0005 * draw.normal(size=len(word) + 15200)
    sound[round(0.2 * RATE) :][:80] += 0.8 * draw.uniform(-1, 1, 80) * np.exp(-np.arange(80) / 15)
    return sound


def _with_hum(word: np.ndarray) -> np.ndarray:
    """50 Hz and six harmonics, together 10 dB below the word."""
    phase = 2 * np.pi * 50 * np.arange(len(word)) / RATE
    hum = np.sum([np.sin(k * phase + k) / k for k in range(1, 8)], axis=0)
    return _peak(word) + hum / np.sqrt(np.square(hum).mean() / np.square(_peak(word)).mean()) * 10 ** (-10 / 20)


def _clipped(word: np.ndarray) -> np.ndarray:
    """12 dB above full scale."""
    return np.clip(word / np.abs(word).max() * 10 ** (12 / 20), -1, 1)


SOUNDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "stereo in antiphase": lambda word: np.stack([word, -word], axis=1),
    "a click 1.4 s before the word": _after_click,
    "DC of 0.1": lambda word: _peak(word) + 0.1,
    "clipped at 12 dB": _clipped,
    "hum 10 dB below the word": _with_hum,
}
CONDITIONS = ("clean", *SOUNDS, "8 bits", "96 kHz", "GSM 6.10", *ENCODERS)


def record(word: np.ndarray, condition: str, path: Path) -> None:
    """Write a word (samples,) in one of the `CONDITIONS` to `path`, which gets a suffix."""
    wav = path.with_suffix(".wav")
    if condition in SOUNDS:
        soundfile.write(wav, SOUNDS[condition](word), RATE)
    elif condition == "96 kHz":
        soundfile.write(wav, convert_rate(word, RATE, 96_000), 96_000)
    else:
        soundfile.write(wav, word, RATE, subtype={"8 bits": "PCM_U8", "GSM 6.10": "GSM610"}.get(condition))
    if condition in ENCODERS:
        suffix, *options = ENCODERS[condition]
        encode = [program(), "-v", "error", "-i", str(wav), *options, str(path.with_suffix(f".{suffix}"))]
        subprocess.run(encode, check=True, stdin=subprocess.DEVNULL)
        wav.unlink()


def measure(clips: pd.DataFrame, condition: str) -> float:
    """The accuracy of `sdr predict` on the clips in a condition. A digit that is rejected is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips.itertuples():
            record(read_audio(str(clip.path), RATE), condition, Path(folder) / str(clip.identifier))
        done = subprocess.run([*SDR, "predict", "--json", folder], stdout=subprocess.PIPE, check=False)
    labels = dict(zip(clips["identifier"], clips["label"], strict=True))
    answers = json.loads(done.stdout or "[]")
    return sum(answer["digit"] == labels[Path(answer["file"]).stem] for answer in answers) / len(clips)


def table(measured: dict) -> str:
    """The table of docs/using_it.md."""
    rows = [f"| {condition} | {accuracy:.0%} |" for condition, accuracy in measured["accuracy"].items()]
    return "\n".join(["| recording | recognised |", "|---|---|", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the table with the results, without measuring")
    parser.add_argument(
        "--clips", type=arguments.whole(1, 497), default=100, help="clips in each condition, at most all of DEV"
    )
    parser.add_argument("--split", default="DEV", choices=("TRAIN", "DEV"), help="try changes on TRAIN, and print only")
    given = parser.parse_args()
    if not given.check:
        clips = read_metadata(COURSE_METADATA)
        clips = clips[clips["split"] == given.split]
        clips = clips.iloc[np.linspace(0, len(clips) - 1, given.clips).astype(int)]
        accuracy = {condition: measure(clips, condition) for condition in Progress(CONDITIONS, "conditions")}
        measured = {"clips": len(clips), "split": given.split, "accuracy": accuracy}
        if given.split == "TRAIN":
            print(table(measured))
            return
        write_json(OUTPUT, measured)
    page_tables.update(BEGIN, table(json.loads(OUTPUT.read_text(encoding="utf-8"))), given.check)


if __name__ == "__main__":
    main()
