"""What an experiment trains on, and that the shipped checkpoints are those of the results."""

import json
from dataclasses import replace

import pytest

from utils import checkpoints, experiments, results
from utils.config import DataConfig, find_experiment, load_experiment
from utils.metadata import PROJECT
from utils.report import CONFIGS, TABLES


def test_synthetic_voices_are_trained_on_and_never_tested_on(corpus, monkeypatch, tmp_path):
    monkeypatch.setattr(experiments, "PROJECT", tmp_path)
    data = DataConfig(metadata=str(corpus.metadata))
    plain = replace(load_experiment(CONFIGS / "linear.yaml"), data=data)
    without = experiments.split_of(plain)
    split = experiments.split_of(replace(plain, data=replace(data, synthetic_voices=3)))
    added = split.train[~split.train["identifier"].isin(without.train["identifier"])]
    assert added["speaker"].nunique() == 3
    assert all(sorted(clips["label"]) == list(range(10)) for _, clips in added.groupby("speaker"))
    assert len(split.train) == len(without.train) + 30
    for name, clips in split.tests.items():
        assert clips.equals(without.tests[name])


@pytest.mark.parametrize("path", sorted((PROJECT / "checkpoints").glob("*/")), ids=lambda path: path.name)
def test_a_shipped_checkpoint_is_that_of_the_results(path):
    _, experiment = checkpoints.load(path)
    result = results.load(results.result_path(results.STORE, path.name, "course", 0))
    assert json.loads((path / "metrics.json").read_text()) == result["metrics"]
    assert experiment == find_experiment(path.name, CONFIGS)


@pytest.mark.parametrize("name", sorted({name for table in TABLES.values() for name in table.experiments}))
def test_each_experiment_of_the_tables_has_a_config(name):
    assert find_experiment(name, CONFIGS).name == name
