"""Compare endpointing with voice activity detectors: words of training speakers in rooms made of training noises.

    SDR_SPEECH_DATA=... python tools/compare_endpointing.py          # measure anew, and write the table
    python tools/compare_endpointing.py --check                      # fail if the table is not what was measured

Writes results/endpointing.json and, from it, the table in docs/using_it.md. Needs, beside the recordings of
`sdr data sdr` and `sdr data noises`, the packages onnxruntime, silero-vad and webrtcvad-wheels; no other part of
the project does.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import page_tables
from scipy import signal

from utils.commands import arguments
from utils.data.audio import read_audio
from utils.data.corpora.noises import FOLDS, load_noises, read_noises
from utils.data.metadata import read_metadata
from utils.experiments.checkpoints import load_recogniser
from utils.files import write_json
from utils.inference.endpointing import HOP, MARGIN, PAUSE, WORD, Endpointer
from utils.paths import COURSE_METADATA, PROJECT

RATE = 8000
CONDITIONS = ("silence", "room", "click", "hum", "breath", "door", "20", "10", "5", "0")  # numbers: dB SNR
CLOSE = 0.1  # seconds; both ends of a word that is found are this close to the true ones
OUTPUT = PROJECT / "results" / "endpointing.json"
BEGIN = "<!-- endpointing, by tools/compare_endpointing.py -->"


@dataclass(frozen=True)
class Mixture:
    condition: str
    digit: int
    sound: np.ndarray  # (samples,)
    start: float  # of the word, in seconds
    end: float


def mixtures(each: int, seed: int) -> Iterator[Mixture]:
    """`each` words for every condition, in one to three seconds of room on both sides, at various levels."""
    draw = np.random.default_rng(seed)
    clips = read_metadata(COURSE_METADATA)
    clips = clips[clips["split"] == "TRAIN"]
    noises = load_noises(read_noises(FOLDS["a"][0]), RATE)
    for condition in CONDITIONS:
        for clip in clips.iloc[draw.integers(len(clips), size=each)].itertuples():
            word = read_audio(str(clip.path), RATE).astype(float)
            word -= word.mean()
            start, end = _edges(word)
            word /= _rms(word[start:end])
            before, after = (draw.uniform(1.6, 3, 2) * RATE).astype(int)
            sound = np.pad(word, (before, after))
            if condition != "silence":
                sound += 0.01 * draw.normal(size=len(sound))
            start, end = start + before, end + before
            _disturb(sound, condition, start, noises, draw)
            sound = np.clip(sound * 10 ** (draw.uniform(-35, -18) / 20), -1, 1).astype(np.float32)
            yield Mixture(condition, int(clip.label), sound, start / RATE, end / RATE)


def _disturb(sound: np.ndarray, condition: str, word: int, noises: list[np.ndarray], draw: np.random.Generator) -> None:
    """Add what the condition says to a sound in which the word, whose RMS is 1, begins at the sample `word`."""

    def add(noise: np.ndarray, rms: float, start: int = 0) -> None:
        sound[start : start + len(noise)] += noise * rms / max(_rms(noise), 1e-9)

    if condition == "click":
        add(draw.normal(size=80) * np.exp(-np.arange(80) / 15), 1.0, word - round(1.4 * RATE))
    elif condition == "hum":
        phase = 2 * np.pi * draw.choice([50, 60]) * np.arange(len(sound)) / RATE
        add(sum(draw.uniform() / k * np.sin(k * phase + draw.uniform(0, 6)) for k in range(1, 8)), 10 ** (-10 / 20))
    elif condition == "breath":
        length = round(draw.uniform(0.3, 0.6) * RATE)
        breath = signal.lfilter(*signal.butter(2, [400, 2500], "band", fs=RATE), draw.normal(size=length))
        add(breath * np.hanning(length), 10 ** (-draw.uniform(15, 25) / 20), word - length - round(0.25 * RATE))
    elif condition == "door":
        thump = signal.lfilter(*signal.butter(2, 500, fs=RATE), draw.normal(size=round(0.35 * RATE)))
        thump *= np.exp(-np.arange(len(thump)) / (0.06 * RATE))
        add(thump, 10 ** (draw.uniform(-12, 0) / 20), word - len(thump) - round(0.35 * RATE))
    elif condition.isdigit():
        noise = noises[draw.integers(len(noises))]
        add(np.resize(np.roll(noise, -draw.integers(len(noise))), len(sound)), 10 ** (-int(condition) / 20))


def _edges(word: np.ndarray) -> tuple[int, int]:
    """First sample and end of a clean word: its frames at most 30 dB below the loudest one."""
    hop = round(HOP * RATE)
    power = np.square(word[: len(word) // hop * hop]).reshape(-1, hop).mean(1)
    loud = np.flatnonzero(power >= power.max() / 1000)
    return int(loud[0]) * hop, int(loud[-1] + 1) * hop


def _rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.square(sound).mean()))


Words = list[tuple[float, float]]  # start and end of each, in seconds, without margins


def whole_recording_energy(sound: np.ndarray) -> Words:
    """The project's former rule: a threshold between the quiet and the loud frames of the whole recording."""
    hop, window = round(HOP * RATE), round(0.025 * RATE)
    frames = np.lib.stride_tricks.sliding_window_view(sound, window)[::hop]
    level = 10 * np.log10(np.square(frames).mean(1) + 1e-10)
    quiet, loud = np.quantile(level, 0.1), level.max()
    return _group((level > max(quiet + 0.3 * (loud - quiet), loud - 40)).astype(float), HOP, 0.5, 0.5)


def adaptive(sound: np.ndarray) -> Words:
    """The project's `Endpointer`."""
    pointer = Endpointer(RATE)
    found = pointer.push(sound) + pointer.flush()
    return [(word.start / RATE + MARGIN, word.end / RATE - MARGIN) for word in found]


def silero(begin: float, end: float) -> Callable[[np.ndarray], Words]:
    """Silero VAD 6 (MIT), by its ONNX file; a word begins and ends at these probabilities."""
    import onnxruntime
    from silero_vad import __file__ as package

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(Path(package).parent / "data" / "silero_vad.onnx"), options)

    def find(sound: np.ndarray) -> Words:
        state, context, found = np.zeros((2, 1, 128), np.float32), np.zeros(32, np.float32), []
        for start in range(0, len(sound) - 255, 256):
            chunk = sound[start : start + 256]
            given = {"input": np.concatenate([context, chunk])[None], "state": state, "sr": np.array(RATE)}
            probability, state = session.run(None, given)
            context = chunk[-32:]
            found.append(float(probability[0, 0]))
        return _group(np.array(found), 256 / RATE, begin, end)

    return find


def webrtc(mode: int) -> Callable[[np.ndarray], Words]:
    """WebRTC's detector (MIT wrapper, BSD code), from mode 0, which finds most, to mode 3."""
    import webrtcvad

    def find(sound: np.ndarray) -> Words:
        detector, hop = webrtcvad.Vad(mode), round(HOP * RATE)
        raw = (sound * 32767).astype("<i2")
        frames = [raw[start : start + hop].tobytes() for start in range(0, len(raw) - hop + 1, hop)]
        return _group(np.array([detector.is_speech(frame, RATE) for frame in frames], float), HOP, 0.5, 0.5)

    return find


def _group(speech: np.ndarray, hop: float, begin: float, end: float) -> Words:
    """Words of frames with a value of each: begun at `begin`, ended by a pause below `end`."""
    words, start, last = [], None, 0
    for frame, value in enumerate([*speech, *[-1.0] * round(1 / hop)]):
        if start is None:
            start, last = (frame, frame) if value >= begin else (None, 0)
        elif value >= end:
            last = frame
        elif (frame - last) * hop >= PAUSE:
            words.append((start * hop, (last + 1) * hop))
            start = None
    return [(start, end) for start, end in words if end - start >= WORD]


def measure(find: Callable[[np.ndarray], Words], tested: list[Mixture], recogniser) -> dict:
    """The figures of one method, over all conditions and by condition: shares, and false segments a minute."""
    begin = time.perf_counter()
    found = [find(mixture.sound) for mixture in tested]
    seconds = time.perf_counter() - begin
    rows, segments = [], []
    for mixture, words in zip(tested, found, strict=True):
        overlap = [min(end, mixture.end) - max(start, mixture.start) for start, end in words]
        best = int(np.argmax(overlap)) if overlap and max(overlap) > 0 else None
        close = best is not None and np.allclose(words[best], (mixture.start, mixture.end), rtol=0, atol=CLOSE)
        start, end = words[best] if best is not None else (0.0, 0.0)
        segments.append(mixture.sound[round(max(0, start - MARGIN) * RATE) : round((end + MARGIN) * RATE)])
        rows.append({"found": best is not None, "close": close, "false": sum(value <= 0 for value in overlap)})
    for row, mixture, prediction in zip(rows, tested, recogniser.recognise(segments), strict=True):
        row["right"] = row["found"] and prediction.digit == mixture.digit
    conditions = {name: [at for at, mixture in enumerate(tested) if mixture.condition == name] for name in CONDITIONS}
    length = sum(len(mixture.sound) for mixture in tested) / RATE

    def figures(some: list[int]) -> dict:
        minutes = sum(len(tested[at].sound) for at in some) / RATE / 60
        shares = {
            name: round(float(np.mean([rows[at][name] for at in some])), 4) for name in ("close", "found", "right")
        }
        return shares | {"false_a_minute": round(sum(rows[at]["false"] for at in some) / minutes, 2)}

    by_condition = {name: figures(some) for name, some in conditions.items()}
    return figures(list(range(len(tested)))) | {"times_real_time": round(length / seconds), "conditions": by_condition}


def table(measured: dict) -> str:
    """The table of docs/using_it.md."""
    lines = [
        "| method | words found | both ends within 0.1 s | accepted and correct | false alarms a minute |"
        " correct at 10 / 0 dB SNR |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in measured["methods"].items():
        loud = " / ".join(f"{row['conditions'][condition]['right']:.0%}" for condition in ("10", "0"))
        shares = " | ".join(f"{row[figure]:.1%}" for figure in ("found", "close", "right"))
        lines.append(f"| {name} | {shares} | {row['false_a_minute']:.1f} | {loud} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the table with the results, without measuring")
    parser.add_argument("--each", type=arguments.whole(1, 1000), default=60, help="words in each condition")
    given = parser.parse_args()
    if not given.check:
        tested, recogniser = list(mixtures(given.each, seed=0)), load_recogniser()
        methods: dict[str, Callable[[np.ndarray], Words]] = {
            "`utils.inference.endpointing`": adaptive,
            "energy, threshold from the whole recording": whole_recording_energy,
            "Silero VAD 6.2, begin 0.5, end 0.35": silero(0.5, 0.35),
            "Silero VAD 6.2, begin 0.7, end 0.5": silero(0.7, 0.5),
            **{f"WebRTC VAD, mode {mode}": webrtc(mode) for mode in (1, 2, 3)},
        }
        measured = {
            "words": len(tested),
            "minutes": round(sum(len(mixture.sound) for mixture in tested) / RATE / 60, 1),
            "methods": {name: measure(find, tested, recogniser) for name, find in methods.items()},
        }
        write_json(OUTPUT, measured)
    page_tables.update(BEGIN, table(json.loads(OUTPUT.read_text(encoding="utf-8"))), given.check)


if __name__ == "__main__":
    main()
