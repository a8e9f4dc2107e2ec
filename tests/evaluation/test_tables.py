"""Tables: rows are means over folds and seeds of what the store holds, cells show them, tables.yaml names them."""

import json
from statistics import fmean, stdev

import pytest
from made_results import edit, metrics_of, predictions_of, write_result

from utils import InputError
from utils.data.splits import PROTOCOLS
from utils.evaluation import tables
from utils.evaluation.tables import Column, Table, load_tables
from utils.experiments.config import find_experiment
from utils.paths import CONFIGS

SPEAKERS = ("george", "jackson", "nicolas", "theo", "lucas", "yweweler")
COURSE = Table("course", "course", (Column("TEST accuracy, %", "accuracy"),), {"little": 3})
LOSO = Table("loso", "loso", (), {"little": 3}, SPEAKERS, held_out=("lucas", "yweweler"))


# Rows


def test_a_seed_may_be_any_number(tmp_path):
    for seed in (0, 20261129):
        write_result(tmp_path, 0.5, seed=seed)
    assert tables.row(COURSE, "little", None, tmp_path)["by_seed"] == {0: 0.5, 20261129: 0.5}


def test_a_row_is_mean_and_deviation_over_seeds_of_the_mean_over_folds(tmp_path):
    accuracies = {}
    for seed in range(3):
        for i, speaker in enumerate(SPEAKERS):
            accuracies[seed, speaker] = (10 + i + 2 * seed * (speaker == "lucas")) / 20
            write_result(tmp_path, accuracies[seed, speaker], f"loso-{speaker}", seed)
    row = tables.row(LOSO, "little", None, tmp_path)
    means = [fmean(accuracies[seed, speaker] for speaker in SPEAKERS) for seed in range(3)]
    assert means[1] == pytest.approx(means[0] + 0.1 / 6)  # two more clips of 20 by lucas
    assert row["accuracy_mean"] == pytest.approx(fmean(means))
    assert row["accuracy_std"] == pytest.approx(stdev(means)) == pytest.approx(0.1 / 6)
    assert row["seeds"] == 3 and row["parameters"] == 1234
    assert row["train_seconds"] == pytest.approx(11)
    assert row["held_out"] == pytest.approx(
        [fmean([accuracies[seed, "lucas"], accuracies[seed, "yweweler"]]) for seed in range(3)]
    )
    assert row["folds"]["loso-jackson"] == pytest.approx([0.55] * 3)


def test_rows_have_the_keys_of_the_contract(tmp_path):
    write_result(tmp_path, 0.75)
    row = tables.row(COURSE, "little", None, tmp_path)
    required = {"table", "model", "protocol", "accuracy_mean", "accuracy_std", "seeds", "parameters"}
    assert required <= row.keys()
    assert {key: row[key] for key in sorted(required)} == {
        "accuracy_mean": 0.75,
        "accuracy_std": 0.0,  # of a single seed
        "model": "little",
        "parameters": 1234,
        "protocol": "course",
        "seeds": 1,
        "table": "course",
    }
    json.dumps(row)


def test_a_seed_counts_only_if_all_its_folds_have_been_run(tmp_path):
    for speaker in SPEAKERS[:-1]:
        write_result(tmp_path, 0.5, f"loso-{speaker}")
    assert tables.row(LOSO, "little", None, tmp_path) is None
    write_result(tmp_path, 0.5, f"loso-{SPEAKERS[-1]}")
    write_result(tmp_path, 1.0, f"loso-{SPEAKERS[0]}", seed=1)  # the only fold of a second seed
    row = tables.row(LOSO, "little", None, tmp_path)
    assert (row["accuracy_mean"], row["seeds"]) == (0.5, 1)


def test_a_row_has_the_parts_that_all_its_runs_were_tested_on(tmp_path):
    write_result(tmp_path, 0.5, dev=0.6)
    row = tables.row(COURSE, "little", None, tmp_path)
    assert row["tests"] == {"SDR_metadata": [0.5], "DEV": [0.6]} and row["dev_accuracy"] == [0.6]
    write_result(tmp_path, 0.7, seed=1)
    row = tables.row(COURSE, "little", None, tmp_path)
    assert row["tests"] == {"SDR_metadata": [0.5, 0.7]} and "dev_accuracy" not in row


def test_the_check_sees_all_runs_of_a_row_and_can_refuse_them(tmp_path):
    for seed in range(2):
        write_result(tmp_path, 0.5, seed=seed)

    def refuse(runs, experiment):
        raise InputError(f"{experiment}: {[run['seed'] for run in runs]}")

    with pytest.raises(InputError, match=r"little: \[0, 1\]"):
        tables.row(COURSE, "little", None, tmp_path, refuse)


def test_the_command_of_a_row_reproduces_it(tmp_path):
    for model in ("little", "student"):
        write_result(tmp_path, 0.5, model=model)
    assert tables.row(COURSE, "little", None, tmp_path)["command"] == "sdr reproduce course --model little"
    assert tables.row(COURSE, "student", None, tmp_path)["command"] == "sdr reproduce course --with student"


# Cells


def test_a_row_is_shown_with_a_cell_for_each_column():
    columns = (Column("TEST accuracy, %", "accuracy"), Column("george", "folds.loso-george"), Column("n", "parameters"))
    table = Table("loso", "loso", columns, {"little": 2}, ("george",))
    row = {"model": "little", "accuracy": [0.8, 0.9], "folds": {"loso-george": [0.8, 0.9]}, "parameters": 1234}
    assert tables.markdown(table, [row]).splitlines() == [
        "| model | TEST accuracy, % | george | n |",
        "| --- | --- | --- | --- |",
        "| little | 85.0 ± 7.1 | 85.0 | 1,234 |",
    ]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("accuracy", [0.8, 0.9, 0.85], "85.0 ± 5.0"),
        ("accuracy", [0.5], "50.0"),  # one seed has no deviation
        ("parameters", 12345, "12,345"),
        ("multiply_adds", 5_678_000, "5.68 M"),
        ("train_seconds", 11.4, "11 s"),
        ("command", "sdr reproduce", "`sdr reproduce`"),
        ("seeds", 3, "3"),
        ("dev_accuracy", None, ""),
    ],
)
def test_cells_show_values_with_their_units(name, value, shown):
    assert tables.cell({name: value}, name) == shown


def test_a_test_on_fewer_clips_or_strings_than_there_are_says_so():
    shares = {"10": [0.8], "pauses": [0.5], "connected": [0.25]}
    row = {"conditions": shares, "sampled": {"10": 100, "pauses": 50}, "strings": {"pauses": 50, "connected": 60}}
    shown = [tables.cell(row, f"conditions.{name}") for name in shares]
    assert shown == ["80.0 (100 clips)", "50.0 (50 strings)", "25.0"]


@pytest.mark.parametrize(("row", "name"), [({}, "dev_accuracy"), ({}, "tests.arabic"), ({"tests": {}}, "tests.arabic")])
def test_values_that_a_row_lacks_are_left_empty(row, name):
    assert tables.cell(row, name) == ""


# The specification, tables.yaml


@pytest.mark.parametrize("name", load_tables())
def test_a_table_names_a_protocol_and_experiments_that_exist(name):
    table = load_tables()[name]
    assert table.name == name and table.protocol in PROTOCOLS
    assert table.columns and table.experiments and set(table.held_out) <= set(table.folds)
    for experiment, seeds in table.experiments.items():
        assert find_experiment(experiment, CONFIGS).name == experiment and seeds >= 1


def test_the_column_folds_stands_for_a_column_for_each_fold():
    columns = load_tables()["loso"].columns
    assert [(column.title, column.value) for column in columns if column.value.startswith("folds.")] == [
        (speaker, f"folds.loso-{speaker}") for speaker in SPEAKERS
    ]


def test_a_file_of_configs_stands_for_all_its_variants():
    ablation = load_tables()["ablation"].experiments
    assert {"full_recipe", "no_vtlp"} <= ablation.keys() and set(ablation.values()) == {3}


def test_splits_carry_the_fold_and_the_number_of_labelled_repetitions():
    assert LOSO.splits() == [f"loso-{speaker}" for speaker in SPEAKERS]
    assert COURSE.splits() == ["course"] and COURSE.splits(5) == ["course-repetitions-5"]


# Tables of field tests


FIELD = Table("noise", "course", (Column("10", "conditions.10"),), {"little": 2}, conditions=("10", "pauses"))


def test_a_table_of_field_tests_has_a_row_for_each_model_and_condition(tmp_path):
    for seed, share in enumerate((0.5, 0.7)):
        noisy = metrics_of(predictions_of(0.75, split="10"))
        path = write_result(tmp_path, 0.9, seed=seed, field={"pauses": share})
        edit(path, lambda result, noisy=noisy: result["metrics"].update(noisy))
    row = tables.row(FIELD, "little", None, tmp_path)
    assert row["conditions"] == {"10": [0.75, 0.75], "pauses": [0.5, 0.7]}
    assert tables.markdown(FIELD, [row]).splitlines()[-1] == "| little | 75.0 ± 0.0 |"
    noise, strings = tables.by_condition(row)
    assert (noise["protocol"], noise["accuracy_mean"], noise["accuracy_std"]) == ("10", 0.75, 0.0)
    assert (strings["protocol"], strings["seeds"], strings["parameters"]) == ("pauses", 2, 1234)
    assert strings["accuracy_mean"] == pytest.approx(0.6) and strings["accuracy_std"] == pytest.approx(0.2 / 2**0.5)


def test_other_tables_keep_their_rows(tmp_path):
    write_result(tmp_path, 0.75)
    row = tables.row(COURSE, "little", None, tmp_path)
    assert tables.by_condition(row) == [row]


def test_a_run_without_field_tests_is_refused_in_their_tables(tmp_path):
    write_result(tmp_path, 0.75)
    with pytest.raises(InputError, match="little: tested without field tests"):
        tables.row(FIELD, "little", None, tmp_path)
