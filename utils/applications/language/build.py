"""From nothing to a model that recognises a language's digits (the command `sdr language`)."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from utils import InputError
from utils.applications.language import report
from utils.applications.language.results import Outcome, write_results
from utils.applications.language.training import (
    Fold,
    cross_validate,
    language_experiment,
    learn_recordings,
    learn_synthesis,
    remove_old_states,
)
from utils.data.digit_words import read_words, words_as_text
from utils.data.metadata import read_metadata, verify
from utils.data.synthesis.engine import voice_table
from utils.data.synthesis.engines import engines
from utils.data.synthesis.language_speech import plan_parts, speak_corpus
from utils.data.synthesis.lexicon import Lexicon, find_lexicon, languages
from utils.data.synthesis.pronunciations import languages as table_languages
from utils.experiments.config import DataConfig, Experiment
from utils.experiments.leakage import refuse_copies
from utils.files import check_writable, write_text
from utils.paths import PROJECT, RUNS

SPEAKERS = 200  # of all engines together
FEWEST_SPEAKERS, MOST_SPEAKERS = 2, 100_000
WORDS, SPEECH, STATES = "words.tsv", "speech", ".training"


def build(
    code: str,
    output: str | Path | None = None,
    *,
    words: str | Path | None = None,
    metadata: str | Path | None = None,
    speakers: int = SPEAKERS,
    words_only: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Path:
    """Speak a language's digits with all installed engines, train a model on them, and report what it confuses.

    An interrupted call goes on where it stopped if it is made again.

    Args:
        code: of the language, one of `languages`.
        output: the folder of everything that is written, by default `runs/language-CODE`.
        words: a file of the ten words (see `read_words`). By default `words.tsv` in the folder, if there is one, or
            else the words that `find_lexicon` finds.
        metadata: recordings, whose TRAIN speakers are added to training. Those of DEV and TEST are only tested on.
        speakers: number of synthetic speakers.
        words_only: stop after the words have been shown and written.
        progress: whether to show progress bars.
        say: shows a text to the user.

    Returns:
        The folder. Its `model` is a checkpoint.

    Raises:
        InputError: no engine speaks the language, a file is wrong, no engine could speak a digit, or the disk is full.
    """
    started = time.time()
    folder = Path(output) if output is not None else RUNS / f"language-{code}"
    check_writable(folder)
    lexicon = _find_words(code, folder, words)
    if not FEWEST_SPEAKERS <= speakers <= MOST_SPEAKERS:
        raise InputError(f"{speakers:,} synthetic speakers; at least {FEWEST_SPEAKERS}, at most {MOST_SPEAKERS:,}")
    recordings = _read_recordings(metadata)
    parts = plan_parts(lexicon, list(engines().values()), speakers)
    write_text(folder / WORDS, words_as_text(lexicon.words))
    write_text(folder / "pronunciation.tsv", report.pronunciation_table(lexicon))
    write_text(folder / "to_read.tsv", report.reading_list(lexicon))
    say(f"{languages()[code]}: the words of {lexicon.source}, and how eSpeak NG pronounces them\n")
    say(report.words_table(lexicon))
    say(f"\nIf a word is wrong, correct it in {folder / WORDS} and run the same command again.\n")
    if words_only:
        return folder
    say("Speakers: " + ", ".join(f"{len(part.speakers)} of {part.engine.name}" for part in parts))
    for hint in _missing_engines(code):
        say(f"  more voices: {hint}")

    table, left_out = speak_corpus(folder / SPEECH, lexicon, parts, progress=progress)
    spoken = time.time()
    for voice, reason in left_out.items():
        say(f"  left out: {voice} ({reason})")
    clips = read_metadata(table)
    data = DataConfig(_portable(table), also_train=() if metadata is None else (_portable(metadata),))
    experiment = language_experiment(f"language_{code}", data)
    states = folder / STATES
    model, folds = _learn(experiment, clips, recordings, states, progress)
    learned = time.time()

    results = write_results(folder, Outcome(code, lexicon, experiment, model, clips, recordings, folds, left_out))
    remove_old_states(states, started)
    say("\n" + results)
    minutes = [(end - begin) / 60 for begin, end in ((started, spoken), (spoken, learned), (started, time.time()))]
    say("\nDone in {2:.1f} minutes (speaking {0:.1f}, training {1:.1f}).\n".format(*minutes))
    say(report.next_steps(code, folder, recordings is not None))
    return folder


def list_languages() -> str:
    """All languages, one a line: code, name, where the words come from, and the engines that are installed."""
    ready = [engine for engine in engines().values() if not engine.missing()]
    have = {name: {row.language for row in voice_table() if row.engine == name} for name in engines()}
    any_language = [engine.name for engine in ready if engine.notation == "ipa"]
    width = max(map(len, languages()))
    lines = [f"{'code':{width}} {'language':36} {'words':10} installed engines"]
    for code, name in languages().items():
        listed = [
            engine.name for engine in ready if engine.name == "espeak" or code in have[engine.name] - set(any_language)
        ]
        spoken = ", ".join(dict.fromkeys([*listed, *any_language]))
        lines.append(f"{code:{width}} {name:36} {'table' if code in table_languages() else 'eSpeak NG':10} {spoken}")
    hints = [f"not installed: {engine.name} ({why})" for engine in engines().values() if (why := engine.missing())]
    return "\n".join([*lines, "", *hints]).rstrip()


def _find_words(code: str, folder: Path, words: str | Path | None) -> Lexicon:
    path = words if words is not None else folder / WORDS
    if words is None and not Path(path).exists():
        return find_lexicon(code)
    return find_lexicon(code, read_words(path), str(path))


def _read_recordings(metadata: str | Path | None) -> pd.DataFrame | None:
    if metadata is None:
        return None
    recordings = read_metadata(metadata)
    verify(recordings)
    if not (recordings["split"] == "TRAIN").any():
        raise InputError(f"{metadata}: no clips in the split TRAIN, so there is nothing to add to training")
    parts = {str(name): clips for name, clips in recordings.groupby("split")}
    refuse_copies(str(metadata), {"TRAIN": parts.pop("TRAIN")}, parts)
    return recordings


def _learn(
    experiment: Experiment, clips: pd.DataFrame, recordings: pd.DataFrame | None, states: Path, progress: bool
) -> tuple[nn.Module, list[Fold]]:
    """The model, and the cross-validation on recordings if there are any. `clips` are the synthetic ones."""
    torch.set_num_threads(1)  # sums depend on the number of threads
    training = clips[clips["split"] == "TRAIN"]
    model = learn_synthesis(experiment, training, states, progress)
    if recordings is None:
        return model, []
    known = recordings[recordings["split"] == "TRAIN"]
    folds = cross_validate(model, experiment, training, known, states, progress)
    return learn_recordings(model, experiment, training, known, states, progress), folds


def _missing_engines(code: str) -> list[str]:
    """How to install the engines that speak the language, or that read IPA, and are not installed."""
    speak = {row.engine for row in voice_table() if row.language == code}
    return [
        f"{engine.name} ({why})"
        for engine in engines().values()
        if (why := engine.missing()) and (engine.name in speak or engine.notation == "ipa")
    ]


def _portable(path: str | Path) -> str:
    """A path as a config names it on any system: relative to the project if it lies there, with slashes."""
    whole = Path(path).resolve()
    return (whole.relative_to(PROJECT) if whole.is_relative_to(PROJECT) else whole).as_posix()
