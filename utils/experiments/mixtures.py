"""Test sets made of clips: each clip in noise at several signal-to-noise ratios, and strings of digits.

Every condition is a folder of WAV files with its own `metadata.tsv`. What is drawn for a clip depends only on the seed
and on its identifier, so a clip lies in the same noise at every ratio. The same clips, noises and seed give the same
files. The levels are those of `mix_in`: that of speech leaves pauses out, that of noise is over the whole recording.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import librosa
import numpy as np
import pandas as pd
import soundfile
import torch

from utils import InputError
from utils.data.audio import read_audio
from utils.data.corpora import noises
from utils.data.metadata import COLUMNS, write_table
from utils.experiments.fingerprints import short_key
from utils.features import room_augmentations
from utils.features.room_augmentations import mix_in, speech_power
from utils.files import atomic_folder, fill_once, sha256
from utils.paths import CACHE
from utils.progress import Progress

RATE = 8000  # Hz, of the files: that of the course's clips
SNR_DB = {"clean": None, "20": 20.0, "10": 10.0, "5": 5.0, "0": 0.0, "-5": -5.0}
BABBLE = "babble-10"  # talkers in the background, 10 dB below the speech
NOISE = (*SNR_DB, BABBLE)
AROUND = (0.1, 0.4)  # seconds of silence before and after a clip, filled by the noise
TALKERS = 4  # of babble
PAUSES, CONNECTED, NOISY_PAUSES = STRINGS = ("pauses", "connected", "pauses-10dB")
NUMBER = 500  # of strings of each split and condition: at 90 % right, the standard error is 1.3 points
DIGITS = (3, 7)  # of a string
PAUSE = (0.2, 0.6)  # seconds between its digits
FADE = round(0.005 * RATE)  # samples by which connected digits overlap
HISS_DB = 40.0  # white noise in strings that are not noisy: no microphone gives digital silence
PEAK = 0.5  # of every file
PATTERNS = ("*/metadata.tsv", "*/*.wav")  # of the files in a folder of test sets


@dataclass(frozen=True)
class Recording:
    """A file of a test set; `label` is the digit, or the digits of a string."""

    condition: str
    identifier: str
    speaker: str
    split: str
    label: str
    samples: np.ndarray  # int16 (samples,)


def make_mixtures(
    folder: Path, clips: pd.DataFrame, sources: Sequence[str], seed: int = 0, strings: int = NUMBER
) -> None:
    """Write all conditions of `NOISE` and `STRINGS` to the folders of their names.

    Args:
        folder: replaced if it holds such test sets already.
        clips: of digits, rows of `read_metadata`. Strings are of one speaker and split each, babble is of the other
            speakers of the split.
        sources: of the noise (see `utils.data.corpora.noises`).
        seed: for the noise, the silence around each clip, and the strings.
        strings: of each condition and split.

    Raises:
        InputError: a clip or noise cannot be read, a split has a single speaker or a speaker too few clips, or
            `folder` cannot be replaced.
    """
    recordings = [torch.from_numpy(noise) for noise in noises.load_noises(noises.read_noises(sources), RATE)]
    with atomic_folder(folder, PATTERNS) as new:
        rows: dict[str, list] = {condition: [] for condition in (*NOISE, *STRINGS)}
        for condition in rows:
            (new / condition).mkdir()
        for split, part in clips.groupby("split", sort=False):
            waveforms = [torch.from_numpy(read_audio(path, RATE)) for path in part["path"]]
            noisy = _in_noise(part, waveforms, recordings, seed)
            _write(Progress(noisy, f"{split} in noise", len(part) * len(NOISE)), new, rows)
            composed = _strings(part, waveforms, recordings, seed, strings)
            _write(Progress(composed, f"{split} strings", strings * len(STRINGS)), new, rows)
        for condition, listed in rows.items():
            write_table(new / condition / "metadata.tsv", COLUMNS, listed)


def cached_mixtures(clips: pd.DataFrame, sources: Sequence[str]) -> Path:
    """The folder of the mixtures of clips, written once for each content of the clips and kept in `.cache/`."""
    code = [sha256(file) for file in (__file__, room_augmentations.__file__)]
    rows = clips[["identifier", "speaker", "split", "label"]].astype(str).to_numpy().tolist()
    key = short_key(rows, [sha256(path) for path in clips["path"]], list(sources), sha256(noises.TABLE), code)
    folder = CACHE / f"mixtures-{key}"
    return fill_once(folder, lambda new: make_mixtures(new, clips, sources))


def _write(recordings: Iterable[Recording], folder: Path, rows: dict[str, list]) -> None:
    """Write recordings to the folders of their conditions, and add a row for each to those of its condition."""
    for recording in recordings:
        name = f"{quote(recording.identifier, safe=' ')}.wav"  # an identifier may have a slash
        soundfile.write(folder / recording.condition / name, recording.samples, RATE, subtype="PCM_16")
        facts = (recording.identifier, recording.speaker, recording.split, recording.label, name)
        rows[recording.condition].append(dict(zip(COLUMNS, facts, strict=True)))


def _in_noise(
    clips: pd.DataFrame, waveforms: list[torch.Tensor], recordings: list[torch.Tensor], seed: int
) -> Iterator[Recording]:
    """Each clip in each condition of `NOISE`."""
    speakers = clips["speaker"].to_numpy()
    for clip, waveform in zip(clips.itertuples(), waveforms, strict=True):
        background = np.flatnonzero(speakers != clip.speaker)
        if len(background) < TALKERS:
            raise InputError(f"babble needs {TALKERS} clips of other speakers than '{clip.speaker}' in {clip.split}")
        draw = _generator(seed, clip.identifier)
        before, after = (round(seconds * RATE) for seconds in draw.uniform(*AROUND, 2))
        speech = torch.nn.functional.pad(waveform, (before, after))
        noise = _piece(recordings[draw.integers(len(recordings))], len(speech), draw)
        talkers = [_piece(waveforms[i], len(speech), draw) for i in draw.choice(background, TALKERS, replace=False)]
        babble = torch.stack([talker / talker.square().mean().sqrt() for talker in talkers]).sum(0)
        mixtures = {name: _mix(speech, noise, snr_db) for name, snr_db in SNR_DB.items()}
        for condition, samples in (mixtures | {BABBLE: _mix(speech, babble, 10.0)}).items():
            yield Recording(condition, clip.identifier, clip.speaker, clip.split, str(clip.label), samples)


def _strings(
    clips: pd.DataFrame, waveforms: list[torch.Tensor], recordings: list[torch.Tensor], seed: int, number: int
) -> Iterator[Recording]:
    """Strings of one speaker's digits; the same digits in each condition of `STRINGS`."""
    split, labels = clips["split"].iloc[0], clips["label"].to_numpy(str)
    by_speaker = {name: np.flatnonzero(clips["speaker"] == name) for name in sorted(clips["speaker"].unique())}
    for name, places in by_speaker.items():
        if len(places) < DIGITS[1]:
            raise InputError(f"strings need at least {DIGITS[1]} clips of each speaker; '{name}' has {len(places)}")
    for index in range(number):
        identifier = f"{split}-{index:04}"
        draw = _generator(seed, identifier)
        speaker = list(by_speaker)[index % len(by_speaker)]
        chosen = draw.choice(by_speaker[speaker], draw.integers(DIGITS[0], DIGITS[1] + 1), replace=False)
        words = [_trimmed(waveforms[i]) for i in chosen]
        around = [round(seconds * RATE) for seconds in draw.uniform(*AROUND, 2)]
        gaps = [round(seconds * RATE) for seconds in draw.uniform(*PAUSE, len(words) - 1)]
        apart, joined = (_join(words, between, around) for between in (gaps, [-FADE] * len(gaps)))
        hiss = torch.from_numpy(draw.standard_normal(len(apart)).astype(np.float32))
        noise = _piece(recordings[draw.integers(len(recordings))], len(apart), draw)
        for condition, samples in (
            (PAUSES, _mix(apart, hiss, HISS_DB)),
            (CONNECTED, _mix(joined, hiss[: len(joined)], HISS_DB)),
            (NOISY_PAUSES, _mix(apart, noise, 10.0)),
        ):
            yield Recording(condition, identifier, speaker, split, "".join(labels[chosen]), samples)


def _generator(seed: int, identifier: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(identifier.encode())])


def _piece(recording: torch.Tensor, samples: int, draw: np.random.Generator) -> torch.Tensor:
    """A random piece (samples,) of a recording, which starts over at its end; none that is nearly silent."""
    while True:
        piece = recording[(torch.arange(samples) + int(draw.integers(len(recording)))) % len(recording)]
        if piece.square().mean() >= 0.1 * recording.square().mean():
            return piece


def _trimmed(waveform: torch.Tensor) -> torch.Tensor:
    """A word without the silence around it, at a speech power of 1, its ends faded over `FADE` samples."""
    samples, _ = librosa.effects.trim(waveform.numpy(), top_db=30, frame_length=256, hop_length=64)
    word = torch.from_numpy(samples.copy())
    fade = torch.linspace(0, 1, FADE)
    word[:FADE] *= fade
    word[-FADE:] *= fade.flip(0)
    return word / speech_power(word.unsqueeze(0), RATE).sqrt()


def _join(words: Sequence[torch.Tensor], gaps: Sequence[int], around: Sequence[int]) -> torch.Tensor:
    """Words with gaps between them (negative: they overlap) and silence before and after, in samples."""
    starts = [around[0]]
    for word, gap in zip(words, gaps, strict=False):
        starts.append(starts[-1] + len(word) + gap)
    string = torch.zeros(starts[-1] + len(words[-1]) + around[1])
    for start, word in zip(starts, words, strict=True):
        string[start : start + len(word)] += word
    return string


def _mix(speech: torch.Tensor, noise: torch.Tensor, snr_db: float | None) -> np.ndarray:
    """Speech (samples,) in noise, none if `snr_db` is None, as 16-bit integers with a peak of `PEAK`."""
    mixture = speech
    if snr_db is not None:
        lengths, power = torch.tensor([len(speech)]), speech_power(speech.unsqueeze(0), RATE)
        mixture = mix_in(speech.unsqueeze(0), lengths, noise.unsqueeze(0), torch.tensor([snr_db]), power)[0][0]
    return (mixture / mixture.abs().max() * PEAK * 32767).round().to(torch.int16).numpy()
