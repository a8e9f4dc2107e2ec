"""Synthetic speakers of any engine, how they speak a word into a room, and the tables that list their clips.

Which speakers there are, and what they say, is planned in `accents` and `language_speech`.
"""

import hashlib
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from utils import InputError
from utils.data.metadata import COLUMNS
from utils.data.synthesis.engine import SAMPLE_RATE, Engine, voice_table
from utils.data.synthesis.voices import generator
from utils.files import fill_once, sha256, write_atomically

FIELDS = (
    *COLUMNS, "engine", "voice", "language", "accent", "text", "rate", "pitch", "size", "level", "noise", "licence",
    "may_pass_on",
)  # fmt: skip


@dataclass(frozen=True)
class Speaker:
    """A synthetic speaker. Individual words vary around the rate and the pitch."""

    name: str
    engine: str
    voice: str
    language: str
    accent: str  # of `pronunciations.tsv`
    rate: float  # pace, as a factor of the voice's own
    pitch: float  # as a factor of the voice's own
    size: float  # of the vocal tract: 1.05 lowers the formants by 5 %; pace and pitch stay as they are
    level: float  # of the peak, in dB below full scale
    noise: float  # background noise of the room, in dB below the peak


@dataclass(frozen=True)
class Utterance:
    """A digit that a speaker says, in one way of saying it."""

    clip: str  # unique name, for example "7_flite-slt-03_0"
    digit: int
    text: str  # in the notation of the engine
    rate: float
    pitch: float
    seed: int


def speak_utterance(engine: Engine, speaker: Speaker, utterance: Utterance) -> np.ndarray:
    """Speak: float32 samples, shape (samples,), at `SAMPLE_RATE`, with a peak of 1, without the noise of the room.

    Raises:
        InputError: the engine fails (see `Engine.speak`), or the sound is too short or too long to be a word.
    """
    # stretching the waveform by the size lowers the formants, and also the pitch and pace, so ask for more of both
    rate, pitch = utterance.rate * speaker.size, utterance.pitch * speaker.size
    sound = engine.speak(
        utterance.text, speaker.voice, rate=rate, pitch=1.0 if abs(pitch - 1) < 1e-9 else pitch, seed=utterance.seed
    )
    sound = np.fft.irfft(np.fft.rfft(sound), round(len(sound) * speaker.size))
    if not 0.1 < len(sound) / SAMPLE_RATE < 1.6:
        raise InputError(
            f"{speaker.voice} speaks '{utterance.text}' in {len(sound) / SAMPLE_RATE:.2f} s; that is no word"
        )
    return (sound / np.abs(sound).max()).astype(np.float32)


def put_in_room(sound: np.ndarray, clip: str, level: float, noise: float) -> np.ndarray:
    """Add silence, background noise and level of a speaker to a word: float32, shape (samples,), at `SAMPLE_RATE`.

    Args:
        sound: a word, shape (samples,).
        clip: its name, by which the noise is drawn.
        level: of the peak, in dB below full scale.
        noise: in dB below the peak.
    """
    draw = drawing(0, f"room {clip}")
    sound = np.pad(sound, [round(draw.uniform(0.005, 0.06) * SAMPLE_RATE) for _ in range(2)])
    sound = sound / np.abs(sound).max()
    sound = sound + draw.normal(0, 10 ** (-(noise + draw.uniform(-3, 3)) / 20), len(sound))
    return (sound * 10 ** (-(level + draw.uniform(-1, 1)) / 20)).clip(-1, 1).astype(np.float32)


def speak_in_room(engine: Engine, speaker: Speaker, utterance: Utterance) -> np.ndarray:
    """A word with its speaker's level and background noise: float32, shape (samples,), at `SAMPLE_RATE`."""
    sound = speak_utterance(engine, speaker, utterance)
    return put_in_room(sound, utterance.clip, speaker.level, speaker.noise)


def table_row(speaker: Speaker, utterance: Utterance, split: str, file: str) -> dict:
    """A clip as a row of a table with the columns `FIELDS`; `file` is relative to the table's folder."""
    voices = [voice for voice in voice_table() if voice.engine == speaker.engine]
    voice = speaker.voice.split("+")[0].split("*")[0]  # of a variant, or the first one of a mixture
    # a voice that is not in the table is one of an engine whose voices all have the same licence
    terms = next((row for row in voices if row.voice == voice), voices[0] if voices else None)
    return {
        "identifier": utterance.clip,
        "speaker": speaker.name,
        "split": split,
        "label": utterance.digit,
        "file": file,
        "engine": speaker.engine,
        "voice": speaker.voice,
        "language": speaker.language,
        "accent": speaker.accent,
        "text": utterance.text,
        "rate": f"{utterance.rate:.4f}",
        "pitch": f"{utterance.pitch:.4f}",
        "size": f"{speaker.size:.4f}",
        "level": f"{speaker.level:.4f}",
        "noise": f"{speaker.noise:.4f}",
        "licence": terms.licence if terms else "",
        "may_pass_on": "yes" if terms and terms.may_pass_on else "no",
    }


def write_clip(path: Path, sound: np.ndarray) -> None:
    """Write a waveform (samples,) as 16-bit WAV at `SAMPLE_RATE`. Errors as for `write_atomically`."""
    content = io.BytesIO()
    soundfile.write(content, sound, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    write_atomically(path, lambda new: new.write_bytes(content.getvalue()))  # soundfile does not report a full disk


def speak_clip(folder: Path, engine: Engine, speaker: Speaker, utterance: Utterance) -> dict:
    """Write a word of a speaker, in a room, to a folder. Returns its row of the table, a clip to train on."""
    file = f"{utterance.clip}.wav"
    write_clip(folder / file, speak_in_room(engine, speaker, utterance))
    return table_row(speaker, utterance, "TRAIN", file)


def spoken_once(cache: Path, name: str, speak: Callable[[Path], object]) -> Path:
    """The path of `metadata.tsv` in a folder of the cache that `speak` has filled, now or earlier.

    It is filled anew when any code or table of this package has changed.
    """
    sources = sorted(file for file in Path(__file__).parent.rglob("*") if file.suffix in (".py", ".tsv", ".yaml"))
    version = hashlib.sha256("".join(map(sha256, sources)).encode()).hexdigest()[:8]
    return fill_once(cache / f"{name}-{version}", speak) / "metadata.tsv"


def drawing(seed: int, name: str, number: int = 0) -> np.random.Generator:
    """The generator of what is drawn for a speaker, a clip or a room, by its name."""
    return generator(seed, zlib.crc32(name.encode()), number)
