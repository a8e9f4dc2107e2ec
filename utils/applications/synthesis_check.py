"""Synthetic words and voices that models of the other engines do not understand: `sdr data voices`.

For each engine a small network is trained on the clips of all other engines, and predicts those of the engine: the
archive's clips, and those of eSpeak NG's accented speakers. What is predicted correctly is understood. The rule:

- A word (one pronunciation of a digit, by an engine in an accent) is probably mispronounced if less than `WORD_SHARE`
  of its clips are understood.
- A voice does not pass for a person if less than `VOICE_SHARE` of its clips are understood, leaving out those words.

Words and voices with fewer than `LEAST_CLIPS` clips are not judged. No recording is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from utils import InputError, count
from utils.data.metadata import read_metadata, write_table
from utils.data.splits import Split
from utils.data.synthesis import accents, archive
from utils.data.synthesis.selection import VOICE, WORD, identify
from utils.experiments.config import Experiment, load_experiment
from utils.experiments.fingerprints import code_digests, short_key
from utils.experiments.fitting import fit
from utils.features.augmentation import AugmentationConfig
from utils.features.cache import cached
from utils.features.extraction import clip_features
from utils.files import sha256, write_atomically
from utils.paths import CONFIGS
from utils.progress import Progress
from utils.training.prediction import predict

WORD_SHARE, VOICE_SHARE = 0.5, 0.5  # least share of understood clips
LEAST_CLIPS = 5
SPEAKERS = 120  # of eSpeak NG, as many as in configs/synthesis.yaml
EPOCHS, MIN_STEPS = 6, 300  # with few clips, as in Arabic, more epochs: in a hundred steps the network learns nothing
# the augmentations that are cheap and make one speaker's voice another's: tract length, formants, timbre, pace
AUGMENTATION = AugmentationConfig(vtlp=(0.9, 1.12), shift_bands=2.5, spectral_tilt_db=8, jitter_frames=3)
COLUMNS = ("engine", "voice", "accent", "digit", "word", "clips", "understood", "predicted")


@dataclass(frozen=True)
class Report:
    """What was understood.

    Attributes:
        language: ISO 639-1 code.
        clips: one row per clip: `engine`, `voice`, `accent`, `digit`, `word` and the `predicted` digit.
    """

    language: str
    clips: pd.DataFrame

    def by(self, *columns: str, clips: pd.DataFrame | None = None) -> pd.DataFrame:
        """Groups of `clips` (None: of all): their number, the share understood, the commonest wrong digit (-1: none).

        Columns: those given, `clips`, `understood` (from 0 to 1), `predicted`. Least understood first.
        """
        rows = []
        for names, group in (self.clips if clips is None else clips).groupby(list(columns), sort=False):
            right = group["predicted"] == group["digit"]
            wrong = group["predicted"][~right].mode()
            facts = (len(group), float(right.mean()), int(wrong.iloc[0]) if len(wrong) else -1)
            rows.append((*names, *facts))
        table = pd.DataFrame(rows, columns=[*columns, "clips", "understood", "predicted"])
        return table.sort_values(["understood", "clips"], ascending=[True, False], kind="stable", ignore_index=True)

    def mispronounced(self) -> pd.DataFrame:
        """The words that are probably mispronounced, as `by` lists them."""
        words = self.by(*WORD)
        return words[(words["clips"] >= LEAST_CLIPS) & (words["understood"] < WORD_SHARE)]

    def failing_voices(self) -> pd.DataFrame:
        """The voices that do not pass for people, as `by` lists them."""
        bad = pd.MultiIndex.from_frame(self.mispronounced()[list(WORD)])
        voices = self.by(*VOICE, clips=self.clips[~pd.MultiIndex.from_frame(self.clips[list(WORD)]).isin(bad)])
        return voices[(voices["clips"] >= LEAST_CLIPS) & (voices["understood"] < VOICE_SHARE)]

    def to_dict(self) -> dict:
        """The report as plain values, for JSON."""
        parts = {"digits": self.by("engine", "digit"), "voices": self.by(*VOICE), "words": self.by(*WORD)}
        parts |= {"mispronounced": self.mispronounced(), "failing_voices": self.failing_voices()}
        return {"language": self.language, "clips": len(self.clips)} | {
            name: part.round(4).to_dict("records") for name, part in parts.items()
        }

    def __str__(self) -> str:
        clips = self.clips.assign(understood=self.clips["predicted"] == self.clips["digit"])
        engines = clips.groupby("engine", sort=False)["understood"]
        shares = clips.pivot_table(index="engine", columns="digit", values="understood", sort=False)
        lines = [
            f"{self.language}: {len(clips):,} clips; {clips['understood'].mean():.0%} are understood by a model of the "
            "other engines",
            "",
            f"{'engine, %':10} {'clips':>6} {'all':>4} " + " ".join(f"{digit:>4}" for digit in shares),
        ]
        for engine, row in shares.iterrows():
            cells = " ".join("   -" if np.isnan(share) else f"{100 * share:4.0f}" for share in row)
            lines.append(f"{engine:10} {engines.size()[engine]:6,} {100 * engines.mean()[engine]:4.0f} {cells}")
        words, voices = self.mispronounced(), self.failing_voices()
        lines += ["", f"Probably mispronounced ({count(len(words), 'word')}): under {WORD_SHARE:.0%} understood"]
        for row in words.itertuples():
            lines.append(f"  {row.engine} {row.accent} {row.digit} [{row.word}]: {_outcome(row)}")
        lines += ["", f"Do not pass for people ({count(len(voices), 'voice')}): under {VOICE_SHARE:.0%} understood"]
        lines += [f"  {row.engine} {row.voice}: {_outcome(row)}" for row in voices.itertuples()]
        return "\n".join(lines)


def check_synthesis(language: str) -> Report:
    """Let models of the other engines predict the synthetic speech of each engine.

    Args:
        language: ISO 639-1 code of a language in the archive.

    Raises:
        InputError: the archive lacks the language, or there are fewer than two engines or not all digits.
    """
    tables = [archive.unpack(language), accents.accented_voices(SPEAKERS, language)]
    clips = pd.concat([read_metadata(table) for table in tables], ignore_index=True)
    settings = _judge()
    key = short_key([sha256(table) for table in tables], code_digests(), repr(settings), sha256(__file__))
    return Report(language, identify(clips).assign(predicted=_predict_by_others(key, settings, clips)))


def write_list(report: Report, path: Path) -> None:
    """Write the words and voices that are not understood, for the setting `synthetic_understood`, atomically."""
    parts = (report.mispronounced(), report.failing_voices())
    rows = [row for part in parts for row in part.assign(understood=part["understood"].round(2)).to_dict("records")]
    write_atomically(path, lambda new: write_table(new, COLUMNS, rows))


def _judge() -> Experiment:
    """The network that judges."""
    plain = load_experiment(CONFIGS / "cnn1d.yaml")
    assert plain.training is not None
    return replace(
        plain, augmentation=AUGMENTATION, training=replace(plain.training, epochs=EPOCHS, min_steps=MIN_STEPS)
    )


@cached(ignore=("settings", "clips"))
def _predict_by_others(key: str, settings: Experiment, clips: pd.DataFrame) -> np.ndarray:
    """The digit (clips,) that a model of the other engines predicts for each clip. Cached by `key`."""
    engines: Sequence[str] = list(dict.fromkeys(clips["engine"]))
    if len(engines) < 2:
        raise InputError(f"only {engines[0]} speaks; words are judged by models of other engines")
    predicted = np.full(len(clips), -1)
    for engine in Progress(engines, "models", unit="engine"):
        by_engine = (clips["engine"] == engine).to_numpy()
        if clips.loc[~by_engine, "label"].nunique() < 10:
            raise InputError(f"the other engines do not speak all digits, so none can judge {engine}")
        split = Split("other engines", clips[~by_engine], {"TEST": clips[by_engine]})
        model, _ = fit(settings, split, seed=0, progress=True)
        features, _ = clip_features(clips[by_engine], settings.features)
        predicted[by_engine] = predict(model, features, settings.features.floor).argmax(1).numpy()
    return predicted


def _outcome(row) -> str:
    mistaken = f", mostly predicted as {row.predicted} otherwise" if row.predicted >= 0 else ""
    return f"{row.understood:.0%} of {row.clips} clips{mistaken}"
