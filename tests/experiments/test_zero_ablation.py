"""Every row of the table `zero-ablation` selects its clips and trains, on a small stand-in for the synthetic speech."""

import itertools
from dataclasses import replace

import pandas as pd
import pytest
from conftest import speak, write_wav

from utils.data.metadata import read_metadata
from utils.data.synthesis import accents, archive
from utils.evaluation.tables import load_tables
from utils.experiments import clips
from utils.experiments.config import find_experiment
from utils.experiments.fitting import fit
from utils.paths import CONFIGS

ENGINES = ("festival", "flite", "kokoro", "piper", "rhvoice", "espeak")
EXPERIMENTS = {name: find_experiment(name, CONFIGS) for name in load_tables()["zero-ablation"].experiments}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The tables of the archive and of the accents: four voices of each engine, and two speakers of each voice."""
    folder = tmp_path_factory.mktemp("spoken")
    rows = []
    for engine, voice, number, digit in itertools.product(ENGINES, "abcd", range(2), range(10)):
        speaker = f"{engine}-{voice}-{number:02d}"
        name = f"{digit}_{speaker}"
        write_wav(folder / f"{name}.wav", speak(digit, "voice", 0))
        rows.append((name, speaker, "TRAIN", digit, f"{name}.wav", engine, voice, "us", f"word {digit}"))
    columns = ["identifier", "speaker", "split", "label", "file", "engine", "voice", "accent", "text"]
    made = pd.DataFrame(rows, columns=columns)
    accents = made["engine"] == "espeak"
    for name, part in (("archive", made[~accents]), ("accents", made[accents])):
        part.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return folder / "archive.tsv", folder / "accents.tsv"


@pytest.fixture
def select(tables, corpus, monkeypatch, tmp_path):
    """`select(name)`: the split of an experiment, tested on the stand-in for the recordings."""
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / archive.NOT_UNDERSTOOD).write_text(
        "engine\tvoice\taccent\tdigit\tword\nkokoro\t\tus\t2\tword 2\nflite\tc\t\t\t\n"
    )
    monkeypatch.setattr(archive, "ARCHIVE", tmp_path)
    monkeypatch.setattr(archive, "unpack", lambda language: tables[0])
    monkeypatch.setattr(accents, "accented_voices", lambda number, language: tables[1])
    variants = read_metadata(tables[1])[["identifier", "speaker", "split", "label", "path"]]
    monkeypatch.setattr(clips, "synthetic_voices", lambda number: variants.head(number))

    def split(name: str):
        data = replace(EXPERIMENTS[name].data, metadata=str(corpus.metadata), protocol="zero-inside-train")
        return clips.split_clips(replace(EXPERIMENTS[name], data=data))

    return split


def counts(split) -> dict[str, int]:
    return split.train["engine"].fillna("voices").value_counts().to_dict()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_row_trains(select, name):
    split = select(name)
    assert set(split.tests) == {"TEST"} and not set(split.train["speaker"]) & set(split.tests["TEST"]["speaker"])
    assert set(split.train["label"]) == set(range(10))
    experiment = replace(
        EXPERIMENTS[name], training=replace(EXPERIMENTS[name].training, epochs=1, min_steps=0, batch_size=8)
    )
    _, history = fit(experiment, replace(split, train=split.train.tail(8)), seed=0)
    assert len(history) == 1 and history[0]["loss"] > 0


def test_each_row_selects_what_it_is_named_after(select):
    everything = counts(select("zero_short"))
    assert everything == dict.fromkeys(ENGINES, 80) | {"voices": 80}
    archived = set(ENGINES) - {"espeak"}
    for engine in archived:
        assert counts(select(f"only_{engine}")) == {engine: 80}
        assert counts(select(f"without_{engine}")) == {k: n for k, n in everything.items() if k != engine}
    assert counts(select("only_espeak")) == {"espeak": 80, "voices": 80}
    assert counts(select("without_espeak")) == dict.fromkeys(archived, 80)
    assert counts(select("without_accents")) == dict.fromkeys(archived, 80) | {"voices": 80}
    assert counts(select("half_of_voices")) == dict.fromkeys(ENGINES, 40) | {"voices": 50}
    assert counts(select("quarter_of_voices")) == dict.fromkeys(ENGINES, 20) | {"voices": 25}
    assert counts(select("one_speaker_per_voice")) == dict.fromkeys(ENGINES, 40) | {"voices": 80}
    assert counts(select("understood")) == everything | {"kokoro": 72, "flite": 60}
    for name in EXPERIMENTS:
        if name.startswith("zero_") or name.endswith(("_rooms", "_noise")):
            assert counts(select(name)) == everything
