"""Bad clips and bad metadata tables: each command refuses them with one plain line and exit status 2."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import RATE, speak, write_bytes, write_metadata, write_wav

from utils.experiments import runs


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


BAD_CLIPS = {
    "empty": (lambda path: write_bytes(path, b""), "empty"),
    "no samples": (lambda path: write_wav(path, np.zeros(0)), "no audio samples"),
    "silent": (lambda path: write_wav(path, np.zeros(4000)), "only silence"),
    "NaN": (lambda path: write_wav(path, np.array([0.1, np.nan] * 999), subtype="FLOAT"), "NaN"),
    "far too large": (lambda path: write_wav(path, 1e30 * speak(1, "ada", 0), subtype="FLOAT"), "not finite"),
    "text": (lambda path: write_bytes(path, b"seven\n" * 99), "not an audio file"),
    "30 s": (lambda path: write_wav(path, np.tile(speak(1, "ada", 0), 300)[: 30 * RATE]), "30.0 s long"),
    "truncated": (lambda path: cut(write_wav(path, speak(1, "ada", 0)), 0.6), "truncated"),
    "truncated FLAC": (lambda path: cut(write_wav(path, speak(1, "ada", 0), format="FLAC"), 0.6), "damaged"),
}


@pytest.fixture(params=BAD_CLIPS)
def bad_clip(request, tmp_path):
    """The path of an unusable clip, and part of the error message."""
    make, why = BAD_CLIPS[request.param]
    return make(tmp_path / "clip.wav"), why


# Bad clips


def test_predict_refuses_a_bad_clip(sdr, trained, corpus, bad_clip):
    clip, why = bad_clip
    sdr("predict", trained.checkpoint, clip).refused(str(clip), why)


def test_predict_still_answers_for_the_other_files(sdr, trained, corpus, bad_clip):
    clip, why = bad_clip
    good = [corpus.folder / f"{digit}_eve_0.wav" for digit in (1, 8)]
    done = sdr("predict", trained.checkpoint, good[0], clip, "--json", good[1])
    assert done.status == 2 and len(done.err.splitlines()) == 1 and str(clip) in done.err and why in done.err
    assert [answer["file"] for answer in json.loads(done.out)] == list(map(str, good))


def table_with(corpus, path: Path, row: int = 30, **change: object) -> Path:
    """A copy of the corpus' table with one row changed."""
    clips = corpus.clips.astype({"label": str})
    clips["file"] = [str(corpus.folder / file) for file in clips["file"]]
    for column, value in change.items():
        clips.loc[row, column] = value
    return write_metadata(path, clips)


def test_evaluate_refuses_a_table_with_a_bad_clip(sdr, trained, corpus, tmp_path, bad_clip):
    clip, why = bad_clip
    path = table_with(corpus, tmp_path / "clips.tsv", row=119, file=str(clip))
    sdr("evaluate", trained.checkpoint, "--metadata", path).refused(str(clip), why)


@pytest.mark.parametrize("model", ["linear", "cnn1d"])
def test_train_refuses_a_table_with_a_bad_clip(sdr, project, write_config, corpus, tmp_path, bad_clip, model):
    clip, why = bad_clip
    path = table_with(corpus, tmp_path / "clips.tsv", file=str(clip))
    sdr("train", write_config(model, data={"metadata": str(path)})).refused(str(clip), why)
    assert not project.store.exists()


def test_train_refuses_a_bad_test_clip_before_training(sdr, project, write_config, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "fit", None)  # calling it would raise another error
    row = int(corpus.clips["split"].eq("TEST").to_numpy().argmax())
    clip = write_bytes(tmp_path / "clip.wav", b"seven")
    path = table_with(corpus, tmp_path / "clips.tsv", row, file=str(clip))
    sdr("train", write_config(data={"metadata": str(path)})).refused(str(clip), "not an audio file")


# Bad tables


BAD_TABLES = {
    "no column": (lambda clips: clips.drop(columns="label"), "row 1", "'label'"),
    "unknown split": (lambda clips: clips.assign(split=["VALID", *clips["split"][1:]]), "row 2", "'split'"),
    "duplicate": (lambda clips: clips.assign(identifier=["x", "y", "x", *clips["identifier"][3:]]), "row 4", "'x'"),
    "label 10": (lambda clips: clips.assign(label=[0, 10, *clips["label"][2:]]), "row 3", "'10'"),
    "missing clip": (lambda clips: clips.assign(file=[*clips["file"][:-1], "no.wav"]), "row 121", "'file'"),
}


@pytest.fixture(params=BAD_TABLES)
def bad_table(request, corpus, tmp_path):
    """The path of a metadata table with one error, and the row and the name in the message."""
    clips = corpus.clips
    clips["file"] = [str(corpus.folder / file) for file in clips["file"]]
    change, row, name = BAD_TABLES[request.param]
    return write_metadata(tmp_path / "clips.tsv", change(clips)), row, name


def test_evaluate_refuses_bad_metadata(sdr, trained, bad_table):
    path, row, name = bad_table
    sdr("evaluate", trained.checkpoint, "--metadata", path, "--json").refused(str(path), row, name)


@pytest.mark.parametrize("model", ["linear", "cnn1d"])
def test_train_refuses_bad_metadata(sdr, project, write_config, bad_table, model):
    path, row, name = bad_table
    sdr("train", write_config(model, data={"metadata": str(path)})).refused(str(path), row, name)
    assert not project.store.exists() and not project.runs.exists()


@pytest.mark.parametrize("model", ["linear", "cnn1d"])
def test_train_refuses_a_speaker_in_both_training_and_test(sdr, project, write_config, corpus, tmp_path, model):
    path = table_with(corpus, tmp_path / "clips.tsv", row=0, split="TEST")
    sdr("train", write_config(model, data={"metadata": str(path)})).refused("'ada' is on both sides")


def test_train_refuses_a_linear_model_when_digits_are_missing(sdr, project, write_config, corpus, tmp_path):
    clips = corpus.clips
    clips["file"] = [str(corpus.folder / file) for file in clips["file"]]
    few = clips[(clips["split"] != "TRAIN") | ~clips["label"].isin([4, 7])]
    path = write_metadata(tmp_path / "clips.tsv", few)
    sdr("train", write_config("linear", data={"metadata": str(path)})).refused("4, 7")
