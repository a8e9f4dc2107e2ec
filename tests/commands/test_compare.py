"""`sdr compare`: which model is better, the right way round, on the same clips only; and a page that plays them."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import experiment_of, use_table
from made_results import metrics_of, write_result

from utils.evaluation import results, significance
from utils.evaluation.tables import Table
from utils.experiments import runs
from utils.files import write_json

SPEAKERS = np.repeat(["eve", "finn"], 50)


@pytest.fixture
def put(project):
    """`put(name, *wrong)` writes one run for each seed, in which these of 100 clips are misrecognised."""

    def write(name: str, *wrong: set[int], split: str = "course", label: int = 3, clip: str | None = None) -> None:
        for seed, misrecognised in enumerate(wrong):
            path = write_result(project.store, 0.5, split, seed, name)
            table = pd.DataFrame(
                {
                    "identifier": [f"{clip or split} clip {i:02}" for i in range(100)],
                    "speaker": SPEAKERS,
                    "split": "TEST",
                    "label": label,
                    "predicted": [8 if i in misrecognised else label for i in range(100)],
                    "probability": 0.5,
                }
            )
            results.save(path, results.load(path) | {"metrics": metrics_of(table)}, table)

    return write


def first(number: int) -> set[int]:
    return set(range(number))


def compared(sdr, *arguments) -> dict:
    done = sdr("compare", *arguments, "--json")
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)


def test_the_better_model_is_named_first_whatever_the_order(sdr, put):
    put("strong", first(4), first(5), first(6))
    put("weak", first(30), first(32), first(31))
    for order in (("strong", "weak"), ("weak", "strong")):
        told = compared(sdr, *order)
        assert [model["name"] for model in told["models"]] == list(order)
        (pair,) = told["pairs"]
        assert (pair["better"], pair["worse"], pair["verdict"]) == ("strong", "weak", "better")
        assert pair["difference"] == pytest.approx(0.26)
        assert 0 < pair["interval"][0] < 0.26 < pair["interval"][1]
        assert max(pair["p_clips"], pair["p_mcnemar"], pair["p_seeds"]) < 0.05
        assert told["only"] == {"strong": [f"course clip {i:02}" for i in range(5, 31)], "weak": []}
        text = sdr("compare", *order).out
        assert "strong is better than weak by 26.0 points" in text and "weak is better" not in text


def test_a_small_difference_is_not_called_better(sdr, put):
    put("one", {1, 2, 3})
    put("other", {3, 4, 5, 6})
    (pair,) = compared(sdr, "one", "other")["pairs"]
    assert (pair["better"], pair["verdict"], pair["p_seeds"]) == ("one", "no difference", None)
    text = sdr("compare", "one", "other").out
    assert "one and other cannot be told apart: one is ahead by 1.0 points" in text and "better than" not in text


@pytest.mark.parametrize(("runs", "verdict"), [(1, "unclear"), (3, "better")])
def test_mcnemars_test_counts_between_two_single_runs_only(sdr, put, runs, verdict):
    put("one", first(3))
    put("other", *[first(8)] * runs)
    told = compared(sdr, "one", "other")
    (pair,) = told["pairs"]
    assert pair["p_clips"] < 0.05 < pair["p_mcnemar"] and pair["verdict"] == verdict
    assert told["speakers"] == ["eve", "finn"]


def test_seeds_that_contradict_the_clips_leave_it_unclear(sdr, put):
    """One seed is far worse and the other two are not: significant over clips, and not over seeds."""
    put("steady", first(5), first(5), first(5))
    put("uneven", first(60), first(6), first(4))
    (pair,) = compared(sdr, "steady", "uneven")["pairs"]
    assert pair["p_clips"] < 0.05 < pair["p_seeds"] and pair["verdict"] == "unclear"
    assert "not every test confirms it" in sdr("compare", "steady", "uneven").out


def test_p_values_are_corrected_for_the_number_of_pairs(sdr, put):
    put("one", first(10))
    put("other", first(17))
    put("third", first(10) | {99})
    alone = compared(sdr, "one", "other")["pairs"][0]["p_mcnemar"]
    pairs = compared(sdr, "one", "other", "third")["pairs"]
    assert len(pairs) == 3
    assert next(p for p in pairs if {p["better"], p["worse"]} == {"one", "other"})["p_mcnemar"] == pytest.approx(
        3 * alone
    )


def test_each_model_has_its_interval_cost_and_accuracy_by_speaker(sdr, put):
    put("one", first(10), first(20))
    put("other", first(10))
    one, other = compared(sdr, "one", "other")["models"]
    assert one["by_seed"] == {"0": 0.9, "1": 0.8} and one["accuracy"] == pytest.approx(0.85)
    assert one["per_speaker"] == {"eve": pytest.approx(0.7), "finn": 1.0}
    assert (one["parameters"], one["multiply_adds"], one["train_seconds"]) == (1234, 5_678_000, 10.5)
    low, high = other["interval"]
    assert 0.8 < low < 0.9 < high < 1
    text = sdr("compare", "one", "other").out
    assert "85.0 ± 7.1" in text and "1,234" in text and "5.68 M" in text and "training" in text.splitlines()[2]


def test_the_folds_of_a_table_are_compared_together(sdr, put, tables):
    for speaker in ("eve", "finn"):
        put("one", first(10), split=f"loso-{speaker}")
        put("other", first(30), first(30), split=f"loso-{speaker}")
    told = compared(sdr, "one", "other", "--table", "made")
    assert told["clips"] == 200 and told["models"][1]["by_seed"] == {"0": 0.7, "1": 0.7}


def test_folds_that_share_their_test_clips_count_each_clip_once(sdr, put, monkeypatch):
    """A clip counts with the share of the folds whose models recognise it."""
    use_table(monkeypatch, Table("shared", "one-speaker", (), {"one": 2}, ("ada", "bob")))
    for speaker, one, other in (("ada", first(10), first(40)), ("bob", first(20), first(20))):
        put("one", one, one, split=f"one-speaker-{speaker}", clip="test")
        put("other", other, split=f"one-speaker-{speaker}", clip="test")
    told = compared(sdr, "one", "other", "--table", "shared")
    assert told["clips"] == 100 and [model["accuracy"] for model in told["models"]] == pytest.approx([0.85, 0.7])
    assert told["models"][1]["per_speaker"] == {"eve": pytest.approx(0.4), "finn": 1.0}
    low, high = told["models"][1]["interval"]
    assert 0.6 < low < 0.7 < high < 0.8
    (pair,) = told["pairs"]
    share = np.array([[(i >= a) + (i >= b) for i in range(100)] for a, b in ((10, 20), (40, 20))]) / 2
    difference, low, high, p = significance.paired_bootstrap(*share, SPEAKERS)
    assert (pair["difference"], *pair["interval"]) == pytest.approx((difference, low, high))
    assert pair["p_clips"] == p and pair["p_mcnemar"] == significance.mcnemar(*share)


def test_equal_models_are_equally_good_over_seeds_too(sdr, put, recwarn):
    for name in ("one", "other"):
        put(name, first(4), first(5), first(6))
    (pair,) = compared(sdr, "one", "other")["pairs"]
    assert pair["p_seeds"] == 1 and pair["verdict"] == "no difference" and not list(recwarn)
    assert "equally good" in (text := sdr("compare", "one", "other").out) and "too few seeds" not in text


def test_folders_and_files_of_results_are_models_too(sdr, put, project):
    put("one", first(10), first(12))
    put("other", first(30))
    folder = project.store / "one" / "course"
    told = compared(sdr, folder, folder / "seed-1.json", "other")
    assert [model["accuracy"] for model in told["models"]] == pytest.approx([0.89, 0.88, 0.7])


def test_checkpoints_are_tested_on_the_clips_of_their_experiment(sdr, corpus, trained, project, tmp_path):
    experiment = experiment_of(corpus, "cnn1d", training={"epochs": 1})  # too short to recognise much
    runs.run(experiment, 0)
    network = runs.checkpoint_folder(experiment, "course", 0)
    page = tmp_path / "reports" / "page.html"
    told = compared(sdr, trained.checkpoint, network.parent, "--html", page)
    measured = trained.result["metrics"]["TEST"]
    linear = told["models"][0]
    assert linear["accuracy"] == measured["accuracy"] and linear["per_speaker"] == measured["per_speaker"]
    assert linear["interval"] == measured["interval"] and linear["parameters"] == trained.result["parameters"]
    assert linear["train_seconds"] is None
    html = page.read_text(encoding="utf-8")
    assert "<th>training</th>" not in html  # checkpoints do not tell how long it took
    alone = [identifier for clips in told["only"].values() for identifier in clips]
    assert alone
    players = re.findall(r'<audio[^>]* src="([^"]+)"', html)
    assert len(players) == len(alone) and all((page.parent / player).exists() for player in players)
    assert not re.findall(r'(?:src|href)="(?:https?:|data:|/)', html)  # nothing from the web, nothing embedded
    # a result of the store beside a checkpoint, and another table of the same clips
    again = compared(sdr, trained.path, network, "--metadata", corpus.metadata)
    assert again["models"][0]["accuracy"] == linear["accuracy"] and again["models"][0]["train_seconds"] is not None


def test_bad_input_is_refused_in_one_line(sdr, put, project, trained, corpus, tmp_path):
    put("one", first(10))
    put("other", first(10))
    put("elsewhere", first(10), split="loso-eve")
    put("relabelled", first(10), label=4)
    sdr("compare", "one").refused("at least two models")
    sdr("compare", "one", "one").refused("each once")
    sdr("compare", "one", "othr").refused("othr", "did you mean 'other'?")
    sdr("compare", "one", tmp_path).refused(str(tmp_path), "no runs of table course")
    sdr("compare", "one", "elsewhere").refused("elsewhere", "no runs of table course")
    sdr("compare", "one", project.store / "elsewhere" / "loso-eve").refused("not tested on the same clips", "clip")
    sdr("compare", "one", "relabelled").refused("not tested on the same clips", "labels or speakers differ")
    sdr("compare", "one", "other", "--split", "arabic").refused("not tested on arabic", "TEST")
    sdr("compare", "one", trained.checkpoint, "--split", "arabic").refused("arabic")
    sdr("compare", "one", "other", "--table", "curse").refused("unknown table 'curse'", "'course'")
    sdr("compare", "one", "other", "--root", tmp_path).refused("--metadata")
    sdr("compare", "one", "other", "--metadata", tmp_path / "no.tsv").refused("no.tsv")
    sdr("compare", "one", "other", "--metadata", corpus.metadata, "--split", "HALF").refused("no clips in the split")
    peer = project.store / "elsewhere" / "loso-eve" / "seed-0.json"
    write_json(peer, results.load(peer) | {"config": {"data": {"metadata": "clips.tsv"}, "peer": {}}})
    sdr("compare", "one", peer).refused("an off-the-shelf recogniser")
    sdr("compare", "one", "othr", "--html", tmp_path).refused("not a regular file")  # before the work
    broken = project.store / "one" / "broken"
    shutil.copytree(project.store / "one" / "course", broken)
    (broken / "seed-0.json").write_text("{}")
    sdr("compare", "other", broken).refused("seed-0.json", "not a result")
