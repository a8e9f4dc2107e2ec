"""Stored results and checkpoints that use older names are those of today's configs: nothing has to be run again."""

import json

import pytest
import yaml

from utils.data.splits import split_name
from utils.evaluation import results
from utils.evaluation.results import result_path
from utils.experiments.config import find_experiment, load_experiments, parse_experiment, snapshot
from utils.experiments.renames import KEYS, TABLES, current_names
from utils.experiments.reproducing import planned_runs
from utils.experiments.runs import has_run
from utils.inference.peers import PEERS
from utils.paths import CHECKPOINTS, CONFIGS, PROJECT

STORED = sorted(results.STORE.glob("*/*/seed-*.json"))


def older_names(config: dict) -> dict:
    """A snapshot as versions before the renames wrote it."""
    for section, keys in KEYS.items():
        if section in config:
            old = {new: name for name, new in keys.items()}
            config[section] = {old.get(key, key): value for key, value in config[section].items()}
    text = json.dumps(config)
    for old, new in TABLES.items():
        text = text.replace(new, old)
    return json.loads(text)


@pytest.mark.parametrize("name", ["cnn1d", "digits", "swav_tuned", "from_arabic", "one_words", "linear"])
def test_a_snapshot_with_older_names_gives_the_same_experiment(name):
    experiment = find_experiment(name, CONFIGS)
    older = older_names(snapshot(experiment))
    assert older != snapshot(experiment)
    assert parse_experiment(current_names(older), "an older snapshot", name) == experiment
    assert current_names(snapshot(experiment)) == snapshot(experiment)


def test_every_renamed_key_and_table_exists():
    known = {section: set() for section in KEYS}
    for path in CONFIGS.glob("*.yaml"):
        for experiment in load_experiments(path).values():
            for section, values in snapshot(experiment).items():
                if section in known:
                    known[section] |= set(values)
    for section, keys in KEYS.items():
        assert set(keys.values()) <= known[section]
        assert not set(keys) & known[section]  # an old name must not have a new meaning
    assert all((PROJECT / table).is_file() for table in TABLES.values())


def test_a_committed_snapshot_gives_the_experiment_of_its_config():
    values = yaml.safe_load((CHECKPOINTS / "digits" / "config_snapshot.yaml").read_text())
    assert parse_experiment(current_names(values), "digits", "digits") == find_experiment("digits", CONFIGS)


@pytest.mark.skipif(not STORED, reason="there are no results")
def test_every_stored_run_counts_as_made_and_is_planned():
    made = {}
    for experiment, seed in planned_runs():
        data = experiment.data
        path = result_path(results.STORE, experiment.name, split_name(data.protocol, data.fold, data.repetitions), seed)
        made[path] = has_run(experiment, seed, results.STORE)
    again = [str(path) for path in STORED if path in made and not made[path]]
    assert again == []  # `sdr reproduce` would run these again
    shipped = {results.STORE / path.name / "course" / "seed-0.json" for path in CHECKPOINTS.iterdir()}
    peers = {path for path in STORED if path.parts[-3] in PEERS}  # `sdr reproduce peers` makes these
    assert set(STORED) - set(made) - peers <= shipped  # the project's own model is in no table
