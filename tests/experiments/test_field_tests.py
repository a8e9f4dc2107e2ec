"""Field tests: strings of digits, and their outcome in the result of a run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import SEEN, experiment_of, write_wav

from utils import InputError
from utils.data import splits
from utils.data.config import DataConfig
from utils.data.metadata import read_metadata
from utils.data.splits import Split
from utils.evaluation import results
from utils.experiments import checkpoints, field_tests, runs
from utils.experiments.checkpoints import load_recogniser
from utils.experiments.field_tests import FieldTests
from utils.paths import COURSE_METADATA, speech_data


def test_strings_of_digits(trained, corpus):
    clips = corpus.clips[corpus.clips["speaker"] == "eve"]
    strings = field_tests.digit_strings(load_recogniser(trained.checkpoint), clips, number=10)
    assert strings["spoken"].map(len).between(4, 8).all()
    assert (strings["spoken"] == strings["heard"]).mean() >= 0.8
    assert strings.equals(field_tests.digit_strings(load_recogniser(trained.checkpoint), clips, number=10))


@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the course's clips are not here")
def test_endpointing_on_strings_of_real_digits():
    clips = read_metadata(COURSE_METADATA)
    strings = field_tests.digit_strings(load_recogniser(), clips[clips["split"] == "TEST"], number=20)
    assert (strings["spoken"].map(len) == strings["heard"].map(len)).mean() >= 0.9


@pytest.fixture
def field(corpus, tmp_path) -> FieldTests:
    """Field tests on the generated corpus: "strings" of one digit amid hiss, and digits as non-digits."""
    clips = corpus.clips[corpus.clips["split"] == "TEST"]
    hiss = np.random.default_rng(0).normal(0, 1e-3, (2, 4000))
    spoken = [np.concatenate([hiss[0], field_tests.read_audio(path, 8000), hiss[1]]) for path in clips["path"]]
    alone = [write_wav(tmp_path / f"{number}.wav", clip) for number, clip in enumerate(spoken)]
    alone = clips.assign(label=clips["label"].astype(str), path=alone)
    return FieldTests(
        clips,
        noisy={},
        strings={"pauses": alone, "wrong": alone.assign(label="12")},
        digits=corpus.clips[corpus.clips["split"] == "DEV"],
        non_digits={"noises": clips.head(5)},
    )


def test_the_outcome_of_field_tests(field, trained, monkeypatch):
    model, experiment = checkpoints.load(trained.checkpoint)
    outcome = field.measure(model, experiment)
    assert 0.9 <= outcome["pauses"] <= 1 and outcome["wrong"] == 0
    assert 0 < outcome["threshold"] < 1 and outcome["accepted"] >= 0.8
    assert outcome["noises"] == 1 - replace(field, clips=field.clips.head(5)).measure(model, experiment)["accepted"]
    monkeypatch.setattr(field_tests, "ACCEPTED", 0.5)
    strict = field.measure(model, experiment)
    assert strict["accepted"] < 0.8 and strict["pauses"] == outcome["pauses"]  # nothing in a string is rejected


@pytest.mark.parametrize(
    ("trained_on", "tested"),
    [((), ("esc10",)), (("arabic",), ("esc10",)), (("esc10",), ("speech_commands", "arabic"))],
)
def test_no_source_of_noise_is_both_trained_and_tested_on(trained_on, tested):
    assert DataConfig(noises=trained_on, field_tests=True).test_noises == tested


def test_field_tests_need_a_source_of_noise_that_is_not_trained_on():
    with pytest.raises(ValueError, match="field_tests: no noise is left to test on, as esc10, arabic are trained on"):
        DataConfig(noises=("esc10", "arabic"), field_tests=True)


def test_the_field_tests_have_no_speaker_who_is_trained_on(corpus, tmp_path, monkeypatch):
    clips = corpus.clips
    monkeypatch.setattr(field_tests, "cached_mixtures", lambda *_: tmp_path)
    monkeypatch.setattr(field_tests, "noise_clips", lambda _: clips[clips["split"] == "TEST"])
    monkeypatch.setattr(field_tests, "read_metadata", lambda *_, **__: clips)
    split = splits.course(clips)
    field_tests.field_tests(DataConfig(field_tests=True), split)
    trained_on = pd.concat([split.train, clips[clips["speaker"] == "eve"]])
    tested = {"TEST": split.tests["TEST"].query("speaker == 'finn'")}
    with pytest.raises(InputError, match="speaker 'eve' is on both sides"):
        field_tests.field_tests(DataConfig(field_tests=True), Split("course", trained_on, tested))


def test_a_run_reports_its_field_tests(field, corpus, tmp_path, monkeypatch):
    noisy = replace(field, noisy={"10": field.clips.assign(split="TEST")})
    monkeypatch.setattr(runs, "field_tests", lambda data, split: noisy)
    experiment = experiment_of(corpus, data={"field_tests": True})
    result = runs.run(experiment, 0, store=tmp_path / "results", runs=tmp_path / "runs")
    assert result["metrics"]["10"]["accuracy"] == result["metrics"]["TEST"]["accuracy"]
    assert result["field"].keys() == {"threshold", "accepted", "pauses", "wrong", "noises"}
    results.verify(results.result_path(tmp_path / "results", "tiny", "course", 0))


def test_a_fold_of_one_speaker_has_no_field_tests(corpus, tmp_path):
    experiment = experiment_of(corpus, data={"field_tests": True, "protocol": "loso", "fold": SEEN[0]})
    result = runs.run(experiment, 0, store=tmp_path / "results", runs=tmp_path / "runs")
    assert result["metrics"].keys() == {"TEST"} and "field" not in result
