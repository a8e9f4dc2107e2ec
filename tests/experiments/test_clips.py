"""The clips of an experiment; and the committed checkpoints, which must match the results."""

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import experiment_of, write_metadata

from utils import InputError
from utils.data.metadata import read_metadata
from utils.data.splits import split_name
from utils.data.synthesis import archive, archive_speech
from utils.data.synthesis.accents import plan_speakers
from utils.data.synthesis.engines.espeak import Espeak
from utils.evaluation import results
from utils.evaluation.tables import load_tables
from utils.experiments import checkpoints, stages
from utils.experiments.clips import split_clips
from utils.experiments.config import DataConfig, find_experiment, load_experiment
from utils.paths import CHECKPOINTS, CONFIGS
from utils.training.objectives import NON_DIGIT


def test_synthetic_voices_are_trained_on_and_never_tested_on(corpus, monkeypatch, tmp_path):
    monkeypatch.setattr("utils.experiments.clips.CACHE", tmp_path)
    data = DataConfig(metadata=str(corpus.metadata))
    plain = replace(load_experiment(CONFIGS / "linear.yaml"), data=data)
    without = split_clips(plain)
    split = split_clips(replace(plain, data=replace(data, synthetic_voices=3)))
    added = split.train[~split.train["identifier"].isin(without.train["identifier"])]
    assert added["speaker"].nunique() == 3
    assert all(sorted(own["label"]) == list(range(10)) for _, own in added.groupby("speaker"))
    assert len(split.train) == len(without.train) + 30
    for name, tested in split.tests.items():
        assert tested.equals(without.tests[name])


def test_recordings_are_oversampled_and_synthetic_speech_is_not(corpus, monkeypatch, tmp_path):
    monkeypatch.setattr("utils.experiments.clips.CACHE", tmp_path)
    plain = experiment_of(corpus, data={"synthetic_voices": 3})
    once, thrice = split_clips(plain), split_clips(replace(plain, data=replace(plain.data, oversampling=3)))
    counts = thrice.train["identifier"].value_counts()
    recorded = counts.index.isin(corpus.clips["identifier"])
    assert set(counts[recorded]) == {3} and set(counts[~recorded]) == {1}
    assert set(counts.index) == set(once.train["identifier"])
    assert all(thrice.tests[name].equals(clips) for name, clips in once.tests.items())


def test_synthetic_music_is_trained_on_as_non_digits(corpus, monkeypatch, tmp_path):
    monkeypatch.setattr("utils.experiments.clips.CACHE", tmp_path)
    plain = experiment_of(corpus, "cnn1d")
    split = split_clips(replace(plain, data=replace(plain.data, synthetic_music=5)))
    music = split.train[split.train["speaker"] == "music-train"]
    assert len(music) == 5 and set(music["label"]) == {NON_DIGIT}


def test_without_recordings_only_synthetic_speech_is_trained_on(corpus, monkeypatch, tmp_path):
    monkeypatch.setattr("utils.experiments.clips.CACHE", tmp_path)
    data = DataConfig(metadata=str(corpus.metadata), protocol="zero")
    plain = replace(load_experiment(CONFIGS / "linear.yaml"), data=data)
    with pytest.raises(InputError, match="synthetic speech alone"):
        split_clips(plain)
    split = split_clips(replace(plain, data=replace(data, synthetic_voices=3)))
    assert len(split.train) == 30 and not set(split.train["speaker"]) & set(corpus.clips["speaker"])


@pytest.fixture
def other(corpus, tmp_path):
    """A second corpus: the same clips under other speaker names."""
    clips = corpus.clips.assign(file=lambda clips: clips["path"])
    clips["speaker"] = "other " + clips["speaker"]
    return write_metadata(tmp_path / "other.tsv", clips)


def test_also_train_and_also_test(corpus, other):
    plain = experiment_of(corpus)
    alone = split_clips(plain)
    tested = split_clips(replace(plain, data=replace(plain.data, also_test=(str(other),))))
    assert tested.train.equals(alone.train) and list(tested.tests) == ["DEV", "TEST", "other"]
    assert set(tested.tests["other"]["speaker"]) == {"other eve", "other finn"}
    both = split_clips(replace(plain, data=replace(plain.data, also_train=(str(other),))))
    assert len(both.train) == 2 * len(alone.train) and list(both.tests) == ["DEV", "TEST"]


def test_few_repetitions_apply_to_further_tables_too(corpus, other):
    """Rows of the two tables have the same index, which must not mix them up."""
    plain = experiment_of(corpus)
    data = replace(plain.data, also_train=(str(other),), repetitions=1, unlabelled=True)
    whole = split_clips(replace(plain, data=replace(data, repetitions=None, unlabelled=False)))
    few = split_clips(replace(plain, data=data), seed=1)
    assert (few.train.groupby(["speaker", "label"]).size() == 1).all()
    assert len(few.train) == 2 * 4 * 10
    assert len(few.train) + len(few.unlabelled) == len(whole.train)
    assert not set(few.train["speaker"] + few.train["path"].map(str)) & set(
        few.unlabelled["speaker"] + few.unlabelled["path"].map(str)
    )


def test_two_tables_of_the_same_name_are_refused(corpus, other):
    plain = experiment_of(corpus)
    again = other.parent / "again" / other.name
    again.parent.mkdir()
    shutil.copy(other, again)
    with pytest.raises(InputError, match="the name 'other' is already used"):
        split_clips(replace(plain, data=replace(plain.data, also_test=(str(other), str(again)))))


def test_a_pre_training_is_shared_if_the_clips_are_the_same(corpus):
    little = experiment_of(corpus, "cnn1d", pretraining={"epochs": 1, "contrastive": {"loss": "supcon"}})
    clips = corpus.clips.assign(sha256=corpus.clips["identifier"])
    state = functools.partial(stages.pretraining_state, little, seed=0, runs=Path("runs"))
    assert state(clips) == state(clips.copy())
    for column in ("label", "speaker", "sha256"):  # for example when an error in the table is corrected
        assert state(clips) != state(clips.assign(**{column: clips[column].iloc[::-1].to_numpy()}))


def test_a_further_table_must_not_leak_a_speaker(corpus, other):
    plain = experiment_of(corpus)
    leaking = read_metadata(other).assign(speaker="ada", split="TEST")
    path = write_metadata(other.with_name("leaking.tsv"), leaking.drop(columns="path"))
    with pytest.raises(InputError, match="speaker 'ada' is on both sides, training and leaking"):
        split_clips(replace(plain, data=replace(plain.data, also_test=(str(path),))))


def test_a_further_table_without_training_clips_is_refused(corpus, other):
    plain = experiment_of(corpus)
    tests_alone = read_metadata(other).query("split == 'TEST'").drop(columns="path")
    path = write_metadata(other.with_name("tests.tsv"), tests_alone)
    with pytest.raises(InputError, match="no clips in the split TRAIN"):
        split_clips(replace(plain, data=replace(plain.data, also_train=(str(path),))))


@pytest.mark.parametrize("path", sorted((CHECKPOINTS).glob("*/")), ids=lambda path: path.name)
def test_a_committed_checkpoint_matches_the_results(path):
    _, experiment = checkpoints.load(path)
    split = split_name(experiment.data.protocol, experiment.data.fold, experiment.data.repetitions)
    result = results.load(results.result_path(results.STORE, path.name, split, 0))
    assert json.loads((path / "metrics.json").read_text()) == result["metrics"]
    assert experiment == find_experiment(path.name, CONFIGS)


@pytest.mark.parametrize("name", sorted({name for table in load_tables().values() for name in table.experiments}))
def test_every_experiment_of_the_tables_has_a_config(name):
    assert find_experiment(name, CONFIGS).name == name


def test_the_archive_and_accents_of_a_language_are_trained_on(corpus, monkeypatch, tmp_path):
    espeak = Espeak()
    table, _ = archive_speech.speak_digits(
        tmp_path / "ar", espeak, plan_speakers(espeak, "ar", each=1)[:1], progress=False
    )
    small = archive.pack([table], tmp_path / "archive")
    monkeypatch.setattr("utils.data.synthesis.archive.unpack.__defaults__", (small, tmp_path))
    monkeypatch.setattr("utils.data.synthesis.accents.accented_voices.__defaults__", ("en", 0, tmp_path))
    data = DataConfig(metadata=str(corpus.metadata), protocol="zero", synthetic_language="ar")
    plain = replace(load_experiment(CONFIGS / "linear.yaml"), data=data)
    archived = split_clips(plain).train
    assert len(archived) == 10 and set(archived["language"]) == {"ar"}
    accented = split_clips(replace(plain, data=replace(data, synthetic_accents=2))).train
    assert len(accented) == len(archived) + 20 and set(archived["file"]) <= set(accented["file"])
    assert data.sources != replace(data, synthetic_language=None).sources
    with pytest.raises(InputError, match="xx"):
        split_clips(replace(plain, data=replace(data, synthetic_language="xx")))
