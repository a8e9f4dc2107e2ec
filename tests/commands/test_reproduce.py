"""`sdr reproduce`: makes the runs that the tables still lack, then renders the tables."""

import json

from conftest import use_table

from utils.commands import reproduce
from utils.evaluation.tables import Table, load_tables


def test_missing_runs_are_made_and_the_tables_rendered(sdr, project, tables):
    done = sdr("reproduce", "--jobs", 1)
    assert done.status == 0, done
    assert sorted(tables) == [("eve", 0), ("eve", 1), ("finn", 0), ("finn", 1)]
    assert "4 runs, 0 of them in the results already" in done.out
    readme = (project.folder / "README.md").read_text()
    assert "| little |" in readme
    assert sdr("report", "--check").status == 0

    tables.clear()
    assert "4 runs, 4 of them in the results already" in sdr("reproduce", "--jobs", 1).out
    assert tables == []

    (project.store / "little" / "loso-finn" / "seed-1.json").unlink()
    assert sdr("reproduce", "made", "--jobs", 1).status == 0
    assert tables == [("finn", 1)]

    tables.clear()
    assert sdr("reproduce", "--jobs", 1, "--seeds", 1, "--again", "--model", "little").status == 0
    assert sorted(tables) == [("eve", 0), ("finn", 0)]


def test_the_forecast_comes_from_earlier_runs(sdr, project, tables):
    done = sdr("reproduce", "--jobs", 1, "--seeds", 1)
    assert "2 runs of unknown duration, 1 in parallel" in done.out
    for path in project.store.rglob("seed-*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"train_seconds": 599.0}))
    assert "about 20 minutes, 1 in parallel\n" in sdr("reproduce", "--jobs", 1).out
    assert "about" not in sdr("reproduce", "--jobs", 1).out  # nothing left to do


def test_runs_share_a_pre_training(sdr, project, tables, write_config, monkeypatch):
    """One pre-training per seed for all numbers of repetitions, and for all folds that use the same clips."""
    write_config(
        "cnn1d",
        "little",
        data={"unlabelled": True},
        pretraining={"epochs": 1, "batch_size": 16},
        training={"epochs": 1},
    )
    use_table(monkeypatch, Table("made", "one-speaker", (), {"little": 2}, ("ada", "bob"), repetitions=(1, 2)))
    (project.folder / "README.md").write_text("# Made\n")
    done = sdr("reproduce", "--jobs", 1, "--seeds", 1)
    assert done.status == 0, done
    assert sorted(tables) == [("ada", 0), ("ada", 0), ("bob", 0), ("bob", 0)]
    assert len(list((project.runs / "pretrained").glob("*.state"))) == 1


def test_runs_of_an_older_config_are_made_again(sdr, project, tables, write_config):
    sdr("reproduce", "--jobs", 1, "--seeds", 1)
    tables.clear()
    write_config("linear", "little", model={"size": 4})
    sdr("report", "--check").refused("'model'", "run it again")
    assert sdr("reproduce", "--jobs", 1, "--seeds", 1).status == 0
    assert sorted(tables) == [("eve", 0), ("finn", 0)]


def test_unknown_names_are_refused(sdr, tables):
    sdr("reproduce", "curse").refused("unknown table 'curse'", "made")
    sdr("reproduce", "--model", "huge").refused("unknown model 'huge'", "little")
    sdr("reproduce", "--seeds", 0).refused("--seeds")
    sdr("reproduce", "--jobs", 0).refused("--jobs")


# An experiment that no table names


def test_with_runs_an_experiment_that_no_table_names(sdr, project, tables, write_config):
    write_config("linear", "mine")
    before = (project.folder / "README.md").read_text()
    done = sdr("reproduce", "made", "--with", "mine", "--jobs", 1)
    assert done.status == 0, done
    assert sorted(tables) == [("eve", 0), ("eve", 1), ("finn", 0), ("finn", 1)]  # as many seeds as the table has
    assert {path.relative_to(project.store).parts[0] for path in project.store.rglob("*.json")} == {"mine"}
    assert "| mine |" in done.out and "| little |" not in done.out
    assert (project.folder / "README.md").read_text() == before

    tables.clear()
    assert "4 runs, 4 of them in the results already" in sdr("reproduce", "made", "--with", "mine").out
    assert tables == []


def test_with_refuses_an_unknown_experiment_and_a_second_choice(sdr, tables):
    sdr("reproduce", "made", "--with", "huge").refused("no file has an experiment 'huge'")
    sdr("reproduce", "curse", "--with", "little").refused("unknown table 'curse'", "made")
    sdr("reproduce", "made", "--with", "little", "--model", "little").refused("--with", "--model")
    assert tables == []


def test_a_model_that_no_table_names_leads_to_with(sdr, tables, write_config):
    write_config("linear", "mine")
    sdr("reproduce", "--model", "mine").refused("unknown model 'mine'", "--with mine")


def test_the_help_lists_the_tables(sdr):
    assert list(reproduce.TABLES) == list(load_tables())
    described = "".join(sdr("reproduce", "--help").out.split())
    assert ",".join(reproduce.TABLES) in described


def test_an_interruption_says_that_the_command_resumes(sdr, monkeypatch):
    def interrupt(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "run", interrupt)
    done = sdr("reproduce")
    assert done.status == 130 and "the same command resumes after the last complete epoch" in done.err
