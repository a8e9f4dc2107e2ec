"""A corpus without recordings: digits spoken by the eSpeak NG synthesiser, by as many speakers as asked for.

And what is no digit: other words, spoken likewise, and noises.

eSpeak NG is under the GPLv3. It is used as a separate shared library, which comes with its data in the wheel
`espeakng-loader`; nothing of it is part of this project.
"""

import _ctypes
import contextlib
import csv
import ctypes
import hashlib
import io
import locale
import os
import shutil
import wave
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np
from tqdm import tqdm

from utils import InputError
from utils.metadata import COLUMNS, read_metadata, sha256

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NATIVE_RATE = 22050  # Hz, of eSpeak's own samples

# Words that are no digits, those that students know from Speech Commands among them. None is said like a digit.
HEARD = """
    yes no up down left right on off stop go start open close happy house bird cat dog bed tree wow marvin sheila
    hello thanks please water music weather coffee today tomorrow morning evening table window street people
    because never always maybe question answer student teacher paper number letter language computer microphone
    apple banana orange chicken garden summer winter mother father sister brother doctor money
    hi bye okay maybe wait next back repeat cancel again louder quiet play pause record listen volume light radio
    alarm timer clock minute hour second week month year january august sunday friday north south east west
    red blue green black white brown big small long short warm cold fast slow new old good bad
    man woman child boy girl friend people name voice sound song book page word line time nice rain
    sea lake forest flower grass horse cow sheep fish mouse bread butter cheese sugar salt milk juice plate spoon
    car train bicycle airplane ticket station airport hotel city village bridge road left hand foot head hair face
    run walk jump sit stand sleep eat drink read write draw sing speak think know want need help love hate
    hospital library university telephone television camera battery keyboard internet message email password
"""
UNHEARD = "follow backward forward visual learn yellow purple monday kitchen pencil river mountain"
OTHER_WORDS = tuple(dict.fromkeys(HEARD.split()))  # those of TRAIN, and those of TEST:
UNHEARD_WORDS = tuple(UNHEARD.split())
ALL_WORDS = (*WORDS, *OTHER_WORDS, *UNHEARD_WORDS)

# British, Scottish, Lancashire, Received Pronunciation, American, New York, Caribbean. The wheel's West
# Midlands ("foive", "noine") is left out: a linear model trained on the course's recordings understood half
# of its digits, and 70-74 % of the others'.
ACCENTS = ("en", "en-GB-scotland", "en-GB-x-gbclan", "en-GB-x-rp", "en-US", "en-US-nyc", "en-029")

# Those of the wheel's 104 voice variants that may pass for people and say a word the same way each time. Left
# out are breathy voices and whispers, whose noise comes from libc's rand() and from memory never set (f2, f3,
# f5, Reed, sandro, victor, ...), echoes and robots (RicishayMax*, robosoft*, announcer, kaukovalta, m2, ...),
# voices so quick that they fall below 0.2 s (Andrea, antonio, pedro, anika), and those whose digits a linear
# model trained on other variants understood in less than 93 % of the cases (Jacky, shelby, travis, zac, ...).
PEOPLE = """
    Annie aunty belinda f1 f4 grandma linda steph
    Alex Andy AnxiousAndy Denis Diogo Henrique Hugo Mario Michael Mike Nguyen Storm adam benjamin boris croak
    david ed edward edward2 fast grandpa ian iven iven2 iven3 iven4 john klatt klatt3 klatt4 klatt5 klatt6
    m1 m3 m4 m5 m6 m7 m8 max michel miguel mike2 pablo paul quincy rob robert
"""
VARIANTS = tuple(PEOPLE.split())


@dataclass(frozen=True)
class Speaker:
    """A voice: which variant and accent, and how it is used. Takes scatter around these."""

    voice: str  # eSpeak's name of accent and variant
    rate: float  # words a minute
    pitch: float  # 0-99 as eSpeak counts, 50 being the variant's own
    inflection: float  # 0-99, 50 being the variant's own
    size: float  # of the vocal tract: 1.05 lengthens every wave by 5 %, and so lowers pitch and formants
    level: float  # the peak's, in dB below full scale
    noise: float  # the room's, in dB below the peak


def speak(
    folder: Path,
    *,
    speakers: int = 12,
    takes: int = 10,
    seed: int = 0,
    sample_rate: int = 8000,
    progress: bool = True,
) -> Path:
    """Speak a corpus of digits: `{digit}_{speaker}_{take}.wav` (mono PCM16) and `metadata.tsv` in a folder.

    A clip depends on the seed, its speaker, digit and take, and on nothing else: the clips of a small corpus
    are among those of a larger one, though the split is drawn anew. A corpus that is already there, whole and
    the same, is kept; another that was spoken into the same folder is replaced.

    Args:
        folder: where to; it is made if need be. Anything there that is not a synthetic clip stays.
        speakers: at least 3. A tenth of them (at least one) is in DEV, as many in TEST, the rest in TRAIN.
        takes: of each digit by each speaker, at least 1.
        seed: not negative.
        sample_rate: of the clips, in Hz.
        progress: whether to show a progress bar.

    Returns:
        The path of `metadata.tsv`, which is written last: where it is, the corpus is whole.

    Raises:
        InputError: an argument out of range, or a folder that cannot be written.
    """
    for name, value, least in (
        ("speakers", speakers, 3),
        ("takes", takes, 1),
        ("seed", seed, 0),
        ("sample_rate", sample_rate, 4000),
    ):
        if value < least:
            raise InputError(f"{name} is {value}; a synthetic corpus needs at least {least}")
    return _make(Path(folder), _plan(speakers, takes, seed), seed, sample_rate, progress)


def speak_others(folder: Path, *, clips: int, seed: int = 0, sample_rate: int = 8000, progress: bool = True) -> Path:
    """Speak `clips` words that are no digits, and make a quarter as many noises, for TRAIN; a fifth of that for TEST.

    TRAIN's voices are the first hundred of `speak`. TEST has other words, and voices of another accent, pitch or pace,
    whose timbre is from the same variants of eSpeak NG. In the column `label` stands the word, or "noise". Otherwise as
    for `speak`.
    """
    if clips < 5:
        raise InputError(f"clips is {clips}; a corpus of other words needs at least 5")
    rows = []
    for split, number, voices, words in (
        ("TRAIN", clips, range(100), OTHER_WORDS),
        ("TEST", clips // 5, range(100, 130), UNHEARD_WORDS),
    ):
        for take in range(number):
            voice = voices[take % len(voices)]
            # whoever comes round again says another word
            word = words[(take + take // len(voices)) % len(words)]
            for label, index in ((word, voice), *([("noise", None)] if take % 4 == 0 else [])):
                speaker = "noise" if index is None else f"espeak{index:03d}"
                name = f"{label}_{split.lower()}_{take}"
                facts = (name, f"{speaker}-{split.lower()}", split, label, f"{name}.wav")
                rows.append(dict(zip(COLUMNS, facts, strict=True), speaker_index=index, word=label, take=take))
    return _make(Path(folder), rows, seed, sample_rate, progress)


def _make(folder: Path, rows: list[dict], seed: int, sample_rate: int, progress: bool) -> Path:
    """Speak the rows' clips and write their table, unless they are there already: the table's path."""
    table = folder / "metadata.tsv"
    if _is_spoken(table, rows, seed, sample_rate, progress):
        return table
    unfinished = folder / f".unfinished-{os.getpid()}"  # another process may be speaking the same
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for row in tqdm(rows, "speaking", unit="clip", disable=not progress):
            clip = _wav(row, seed, sample_rate)
            (unfinished / row["file"]).write_bytes(clip)
            row["sha256"] = hashlib.sha256(clip).hexdigest()
        with open(unfinished / table.name, "w", encoding="utf-8", newline="") as file:
            columns = (*COLUMNS, "sha256")
            writer = csv.DictWriter(file, columns, "", "ignore", delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        table.unlink(missing_ok=True)  # from here on the old corpus is none any more
        for old in folder.glob("[0-9]_espeak*_*.wav"):
            old.unlink()
        for name in (*(row["file"] for row in rows), table.name):
            os.replace(unfinished / name, folder / name)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return table


def _plan(speakers: int, takes: int, seed: int) -> list[dict]:
    """The metadata's rows, without sums, and what to speak in each: `speaker_index`, `take`."""
    some = max(1, round(speakers / 10))
    order = _random(seed, 0, 0).permutation(speakers).tolist()
    split = {index: "DEV" for index in order[:some]} | {index: "TEST" for index in order[some : 2 * some]}
    rows = []
    for index in range(speakers):
        speaker = f"espeak{index:03d}"
        for digit in range(10):
            for take in range(takes):
                name = f"{digit}_{speaker}_{take}"
                facts = (name, speaker, split.get(index, "TRAIN"), digit, f"{name}.wav")
                rows.append(dict(zip(COLUMNS, facts, strict=True), speaker_index=index, word=WORDS[digit], take=take))
    return rows


def _is_spoken(table: Path, rows: list[dict], seed: int, sample_rate: int, progress: bool) -> bool:
    """Whether the folder already holds this very corpus, whole.

    Its first two clips are made anew: they differ under another seed, sample rate, eSpeak or version of this code.
    """
    try:
        there = read_metadata(table, digits=rows[0]["label"] in range(10))
        if there[list(COLUMNS)].to_dict("records") != [{key: row[key] for key in COLUMNS} for row in rows]:
            return False
        sums = dict(zip(there["path"], there["sha256"], strict=True))
        first = [hashlib.sha256(_wav(row, seed, sample_rate)).hexdigest() for row in rows[:2]]
        if list(sums.values())[:2] != first:
            return False
        clips = tqdm(sums, "checking clips", unit="clip", leave=False, disable=not progress)
        return all(sha256(path) == sums[path] for path in clips)
    except (InputError, KeyError, OSError):
        return False


def _random(seed: int, *key: int) -> np.random.Generator:
    """A generator for each key. The key's length is part of it: NumPy takes (1,) and (1, 0) for the same."""
    return np.random.default_rng([seed, len(key), *key])


def _speaker(seed: int, index: int) -> Speaker:
    """The speaker of that index: each variant is used once before one returns, and then in another accent."""
    shuffle, draw = _random(seed), _random(seed, index)
    variants, accents = shuffle.permutation(VARIANTS), shuffle.permutation(ACCENTS)
    turn, place = divmod(index, len(variants))
    return Speaker(
        voice=f"gmw/{accents[(place + turn) % len(accents)]}+{variants[place]}",
        rate=draw.uniform(125, 185),
        pitch=draw.uniform(35, 65),
        inflection=draw.uniform(30, 70),
        size=draw.uniform(0.94, 1.06),
        level=draw.uniform(1, 18),
        noise=draw.uniform(30, 55),
    )


def _wav(row: dict, seed: int, sample_rate: int) -> bytes:
    """One clip, as the bytes of a WAV file."""
    if row["speaker_index"] is None:
        sound = _noise(_random(seed, row["take"], len(row["split"])), sample_rate)
    else:
        sound = _spoken(row, seed, sample_rate)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, sample_rate, 0, "NONE", None))
        file.writeframes(np.round(sound.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def _spoken(row: dict, seed: int, sample_rate: int) -> np.ndarray:
    """A word as one take of one speaker, in that speaker's room (samples,)."""
    speaker = _speaker(seed, row["speaker_index"])
    draw = _random(seed, row["speaker_index"], ALL_WORDS.index(row["word"]), row["take"])
    rate = speaker.rate * draw.uniform(0.92, 1.08)
    pitch = speaker.pitch + draw.uniform(-5, 5)
    size = speaker.size * draw.uniform(0.99, 1.01)
    sound = _espeak(row["word"], speaker.voice, rate, pitch, speaker.inflection)
    sound = np.pad(sound, [round(draw.uniform(0.005, 0.06) * NATIVE_RATE) for _ in range(2)])
    # To another rate by the Fourier transform: irfft drops the frequencies that are too high, or adds zeros.
    sound = np.fft.irfft(np.fft.rfft(sound), round(len(sound) * size * sample_rate / NATIVE_RATE))
    sound /= np.abs(sound).max()
    sound += draw.normal(0, 10 ** (-(speaker.noise + draw.uniform(-3, 3)) / 20), len(sound))
    return sound * 10 ** (-(speaker.level + draw.uniform(-1, 1)) / 20)


def _noise(draw: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Something that is no speech (samples,): coloured noise, hum, a few tones or knocks, 0.2 to 1.2 s."""
    samples = round(draw.uniform(0.2, 1.2) * sample_rate)
    seconds = np.arange(samples) / sample_rate
    spectrum = np.fft.rfft(draw.normal(size=samples))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** draw.uniform(-0.2, 1)  # from bluish to brown
    noise = np.fft.irfft(spectrum, samples)
    noise /= np.abs(noise).max()
    match draw.integers(4):
        case 0:
            sound = noise
        case 1:  # mains, with harmonics
            harmonics = draw.choice([50, 60]) * np.arange(1, 12)
            sound = sum(draw.uniform() * np.sin(2 * np.pi * hertz * seconds) for hertz in harmonics) + noise
        case 2:
            tones = draw.uniform(200, 3000, draw.integers(1, 4))
            sound = sum(np.sin(2 * np.pi * hertz * seconds) for hertz in tones) + draw.uniform(0, 0.3) * noise
        case _:
            starts = draw.uniform(0, seconds[-1], draw.integers(1, 5))
            decay = draw.uniform(20, 200)
            knocks = sum(np.exp(-decay * np.maximum(seconds - start, 0)) * (seconds >= start) for start in starts)
            sound = noise * (knocks + draw.uniform(0, 0.02))
    if draw.uniform() < 0.5:  # it swells and ebbs, as speech does
        sound = sound * np.sin(np.linspace(0, np.pi, samples)).clip(0) ** draw.uniform(0.5, 3)
    return sound / np.abs(sound).max() * 10 ** (-draw.uniform(1, 40) / 20)


def _espeak(word: str, voice: str, rate: float, pitch: float, inflection: float) -> np.ndarray:
    """A word as eSpeak's samples at `NATIVE_RATE`, without the silence around it.

    The library carries the phases of its waves and of its flutter from one word to the next, across its own
    initialisation too. So it is loaded anew for each word, which costs 2 ms: no clip depends on earlier ones.
    """
    pieces = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples, count, events):
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0  # go on

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    with _contained():
        try:
            synchronous, milliseconds, return_on_failure = 2, 1000, 1 << 15
            data = espeakng_loader.get_data_path()
            if library.espeak_Initialize(synchronous, milliseconds, data.encode(), return_on_failure) <= 0:
                raise InputError(f"{data}: eSpeak NG cannot read its data (a path over 160 characters?)")
            library.espeak_SetSynthCallback(collect)
            if library.espeak_SetVoiceByName(voice.encode()):
                raise InputError(f"{data}: eSpeak NG has no voice {voice}")
            for parameter, value in ((1, rate), (3, pitch), (4, inflection)):  # as speak_lib.h counts them
                library.espeak_SetParameter(parameter, round(value), 0)
            text, utf8 = word.encode() + b"\0", 1
            library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, utf8, None, None)
            library.espeak_Terminate()
        finally:
            _ctypes.dlclose(library._handle)
    samples = np.frombuffer(b"".join(pieces), dtype="<i2").astype(float)
    heard = np.flatnonzero(samples)
    if len(heard) == 0:
        raise InputError(f"eSpeak NG says nothing as {voice}")
    return samples[heard[0] : heard[-1] + 1]


@contextlib.contextmanager
def _contained():
    """eSpeak prints its complaints to the process's stderr and sets its locale: keep both from happening."""
    stderr, character_type = os.dup(2), locale.setlocale(locale.LC_CTYPE)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        locale.setlocale(locale.LC_CTYPE, character_type)
