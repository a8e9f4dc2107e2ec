"""`sdr grade`: bad input in one line, and the course's own models (more in tests/applications/test_grading.py)."""

import json

import pytest
from conftest import write_metadata

from utils.paths import CHECKPOINTS, COURSE_METADATA, speech_data


@pytest.mark.parametrize("claimed", ["95%", "1.2", "-1", "nan", "much"])
def test_a_claim_that_is_no_share_is_refused(sdr, trained, corpus, claimed):
    sdr("grade", trained.checkpoint, "--metadata", corpus.metadata, f"--claimed={claimed}").refused(
        "--claimed", "from 0 to 1", claimed
    )


def test_a_table_without_labels_or_tests_is_refused(sdr, trained, corpus):
    clips = corpus.clips
    table = write_metadata(corpus.folder / "unlabelled.tsv", clips.drop(columns="label"))
    sdr("grade", trained.checkpoint, "--metadata", table).refused("no column 'label'")
    table = write_metadata(corpus.folder / "only-train.tsv", clips[clips["split"] == "TRAIN"])
    sdr("grade", trained.checkpoint, "--metadata", table).refused("no clips in the split TEST")


def test_what_is_no_submission_is_refused(sdr, corpus, tmp_path):
    sdr("grade", tmp_path / "nobody", "--metadata", corpus.metadata).refused("nobody: there is no such file or folder")
    sdr("grade", tmp_path, "--metadata", corpus.metadata).refused("no trained model", "best_model.pt")


def test_a_page_and_json_are_for_one_submission(sdr, corpus, tmp_path):
    arguments = ("grade", tmp_path, "--metadata", corpus.metadata, "--output", tmp_path / "grades.csv")
    sdr(*arguments, "--html", tmp_path / "a.html").refused("--html", "--output")
    sdr(*arguments, "--json").refused("--json", "--output")


@pytest.mark.slow
@pytest.mark.skipif(not (speech_data() / "0_lucas_0.wav").is_file(), reason="needs the course's clips")
def test_the_courses_model_is_worth_what_its_card_says(sdr):
    arguments = ("grade", CHECKPOINTS / "cnn1d", "--metadata", COURSE_METADATA, "--json")
    made = json.loads(sdr(*arguments, "--claimed", 0.95).out)
    assert made["claim_holds"] and all(made["contract"].values()) and made["n"] == 503
    assert made["references"]["cnn1d"]["difference"] == 0 and made["references"]["linear"]["p_value"] < 0.001
    assert json.loads(sdr(*arguments, "--claimed", 0.999).out)["claim_holds"] is False
