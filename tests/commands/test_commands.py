"""The command `sdr`: the contract's answers, and for whatever is wrong one plain line and exit status 2."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import librosa
import numpy as np
import pytest
import soundfile
from conftest import HEARD, RATE, give_defaults, speak, write_metadata

from utils.evaluation import results
from utils.experiments import calibrating, checkpoints, runs
from utils.experiments.reporting import Table
from utils.paths import PROJECT

COMMANDS = (
    "data", "train", "calibrate", "evaluate", "predict", "export", "demo", "reproduce", "report", "bench", "quickstart"
)  # fmt: skip


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE, **format: str) -> Path:
    soundfile.write(path, samples, rate, **format)
    return path


def write_bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


BAD_CLIPS = {
    "empty": (lambda path: write_bytes(path, b""), "empty"),
    "no samples": (lambda path: write_wav(path, np.zeros(0)), "no audio samples"),
    "silent": (lambda path: write_wav(path, np.zeros(4000)), "only silence"),
    "NaN": (lambda path: write_wav(path, np.array([0.1, np.nan] * 999), subtype="FLOAT"), "NaN"),
    "far too large": (lambda path: write_wav(path, 1e30 * speak(1, "ada", 0), subtype="FLOAT"), "not numbers"),
    "cancelling channels": (
        lambda path: write_wav(path, np.outer(speak(1, "ada", 0), [1, -1]), subtype="FLOAT"),
        "only silence",
    ),
    "text": (lambda path: write_bytes(path, b"seven\n" * 99), "not an audio file"),
    "30 s": (lambda path: write_wav(path, np.tile(speak(1, "ada", 0), 300)[: 30 * RATE]), "30.0 s long"),
    "truncated": (lambda path: cut(write_wav(path, speak(1, "ada", 0)), 0.6), "truncated"),
    "truncated FLAC": (lambda path: cut(write_wav(path, speak(1, "ada", 0), format="FLAC"), 0.6), "damaged"),
}


@pytest.fixture(params=BAD_CLIPS)
def bad_clip(request, tmp_path):
    """The path of a clip that nothing can be heard in, and a part of the message that says so."""
    make, why = BAD_CLIPS[request.param]
    return make(tmp_path / "clip.wav"), why


def in_hifi(path: Path) -> Path:
    """Stereo at 44.1 kHz, as a telephone or an editor saves a clip."""
    clip = speak(3, "eve", 0)
    longer = np.interp(np.arange(0, len(clip), RATE / 44100), np.arange(len(clip)), clip)
    return write_wav(path, np.stack([longer, longer], axis=1), 44100)


GOOD_CLIPS = {
    "stereo 44.1 kHz": in_hifi,
    "24 bit": lambda path: write_wav(path, speak(3, "eve", 0), subtype="PCM_24"),
    "MP3 named .wav": lambda path: write_wav(path, speak(3, "eve", 0), format="MP3"),
    "FLAC named .wav": lambda path: write_wav(path, speak(3, "eve", 0), format="FLAC"),
    "8 bit": lambda path: write_wav(path, speak(3, "eve", 0), subtype="PCM_U8"),
    "float": lambda path: write_wav(path, speak(3, "eve", 0), subtype="FLOAT"),
}


# sdr predict


@pytest.mark.parametrize("make", GOOD_CLIPS.values(), ids=GOOD_CLIPS)
def test_predict_hears_a_clip_of_any_format(sdr, trained, tmp_path, make):
    clip = make(tmp_path / "clip.wav")
    done = sdr("predict", trained.checkpoint, clip, "--json")
    assert (done.status, done.err) == (0, "")
    (answer,) = json.loads(done.out)
    assert answer["digit"] == 3 and answer["probability"] > 0.5


def test_predict_answers_for_each_file_in_order(sdr, trained, corpus):
    files = [corpus.folder / f"{digit}_eve_1.wav" for digit in (7, 0, 4)] + [corpus.folder / "7_finn_0.wav"]
    done = sdr("predict", trained.checkpoint, *files, "--json")
    assert done.status == 0
    answers = json.loads(done.out)
    assert all(set(answer) == {"file", "digit", "probability"} for answer in answers)
    assert [answer["file"] for answer in answers] == [str(file) for file in files]
    assert [answer["digit"] for answer in answers] == [7, 0, 4, 7]
    assert all(0.1 <= answer["probability"] <= 1 for answer in answers)

    plain = sdr("predict", trained.checkpoint, *files)
    assert [line[0] for line in plain.out.splitlines()] == ["7", "0", "4", "7"]
    assert all(str(file) in line for file, line in zip(files, plain.out.splitlines(), strict=True))


def test_predict_refuses_a_bad_clip(sdr, trained, corpus, bad_clip):
    clip, why = bad_clip
    sdr("predict", trained.checkpoint, clip).refused(str(clip), why)


def test_a_bad_clip_does_not_keep_the_others_from_being_heard(sdr, trained, corpus, bad_clip):
    clip, why = bad_clip
    good = [corpus.folder / f"{digit}_eve_0.wav" for digit in (1, 8)]
    done = sdr("predict", trained.checkpoint, good[0], clip, "--json", good[1])
    assert done.status == 2 and len(done.err.splitlines()) == 1 and str(clip) in done.err and why in done.err
    assert [answer["file"] for answer in json.loads(done.out)] == list(map(str, good))


def test_predict_refuses_a_missing_file_and_a_folder_without_audio(sdr, trained, tmp_path):
    sdr("predict", tmp_path / "none.m4a").refused("none.m4a", "there is no such file")
    sdr("predict", trained.checkpoint, tmp_path / "none.wav").refused("none.wav", "there is no such file")
    sdr("predict", trained.checkpoint, tmp_path).refused(str(tmp_path), "nor a folder with audio files")
    sdr("predict", trained.checkpoint, tmp_path / "*.wav").refused("*.wav", "no file matches")


def test_predict_refuses_what_is_no_checkpoint(sdr, corpus, tmp_path):
    sdr("predict", tmp_path / "none", corpus.folder / "1_eve_0.wav").refused("none", "not a checkpoint")


def test_predict_hears_folders_and_patterns(sdr, trained, corpus, tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("7_eve_0.wav", "inner/4_eve_0.wav", "8_eve_0.wav"):
        shutil.copy(corpus.folder / Path(name).name, tmp_path / name)
    (tmp_path / "notes.txt").write_text("no audio")
    for names in ([tmp_path], [tmp_path / "?_eve_0.wav", tmp_path / "inner"]):
        answers = json.loads(sdr("predict", trained.checkpoint, *names, "--json").out)
        heard = {Path(answer["file"]).name: answer["digit"] for answer in answers}
        assert heard == {"7_eve_0.wav": 7, "8_eve_0.wav": 8, "4_eve_0.wav": 4}


def test_predict_tells_the_most_probable_digits(sdr, trained, corpus):
    clip = corpus.folder / "7_eve_1.wav"
    (answer,) = json.loads(sdr("predict", trained.checkpoint, clip, "--top", "3", "--json").out)
    assert [guess["digit"] for guess in answer["top"]][0] == answer["digit"] == 7
    chances = [guess["probability"] for guess in answer["top"]]
    assert len(chances) == 3 and chances == sorted(chances, reverse=True) and chances[0] == answer["probability"]
    assert sdr("predict", trained.checkpoint, clip, "--top", "3").out.count("%") == 3


def test_predict_reads_out_several_digits(sdr, trained, corpus, tmp_path):
    pause, parts = np.zeros(RATE // 2), []
    for digit in (4, 2, 7):
        parts += [pause, soundfile.read(corpus.folder / f"{digit}_eve_1.wav")[0]]
    clip = write_wav(tmp_path / "427.wav", np.concatenate([*parts, pause]))
    (answer,) = json.loads(sdr("predict", trained.checkpoint, clip, "--several", "--json").out)
    assert [word["digit"] for word in answer["words"]] == [4, 2, 7]
    assert answer["words"][0]["start"] == pytest.approx(0.5, abs=0.1)
    assert sdr("predict", trained.checkpoint, clip, "--several").out.startswith("4 2 7")


class PortAudioError(Exception):
    pass


def microphone(waveform: np.ndarray, rate: int) -> SimpleNamespace:
    """What stands in for the package sounddevice: a microphone that knows one rate alone, and hears this."""

    def rec(frames, samplerate, channels, dtype, blocking):
        if samplerate != rate:
            raise PortAudioError("Invalid sample rate")
        recording = np.zeros((frames, channels), dtype)
        recording[: len(waveform)] = waveform[:frames, None]
        return recording

    devices = {"default_samplerate": float(rate)}
    return SimpleNamespace(rec=rec, query_devices=lambda kind: devices, PortAudioError=PortAudioError)


def test_predict_listens_to_the_microphone(sdr, trained, corpus, monkeypatch):
    waveform = soundfile.read(corpus.folder / "7_eve_1.wav", dtype="float32")[0]
    fake = microphone(librosa.resample(waveform, orig_sr=RATE, target_sr=44100), 44100)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    assert json.loads(sdr("predict", trained.checkpoint, "--record", "1", "--json").out)[0]["digit"] == 7

    def no_microphone(*_, **__):
        raise PortAudioError("no default input device")

    fake.query_devices = no_microphone
    sdr("predict", trained.checkpoint, "--record", "1").refused("is there a microphone?")
    monkeypatch.setitem(sys.modules, "sounddevice", microphone(np.zeros(RATE), RATE))
    sdr("predict", trained.checkpoint, "--record", "1").refused("is it muted?")
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    sdr("predict", trained.checkpoint, "--record", "1").refused("pip install sounddevice")


def test_predict_reads_out_the_microphone(sdr, trained, corpus, monkeypatch):
    pause, clip = np.zeros(RATE // 2), soundfile.read(corpus.folder / "7_eve_1.wav")[0]
    spoken = np.concatenate([pause, clip, pause, clip, pause]).astype(np.float32)
    monkeypatch.setitem(sys.modules, "sounddevice", microphone(spoken, RATE))
    assert sdr("predict", trained.checkpoint, "--record", "3", "--several").out.startswith("7 7")
    (answer,) = json.loads(sdr("predict", trained.checkpoint, "--record", "3", "--several", "--json").out)
    assert [word["digit"] for word in answer["words"]] == [7, 7]


def test_predict_does_not_record_for_ever(sdr, trained):
    sdr("predict", trained.checkpoint, "--record", "9999999999").refused("--record", "at most 120 s")


def test_predict_answers_as_often_as_a_file_is_named(sdr, trained, corpus):
    clip = corpus.folder / "7_eve_1.wav"
    assert len(json.loads(sdr("predict", trained.checkpoint, clip, clip, "--json").out)) == 2


def test_predict_refuses_patterns_of_folders_alone(sdr, trained, tmp_path):
    (tmp_path / "inner.wav").mkdir()
    sdr("predict", trained.checkpoint, tmp_path / "in*", "--json").refused("no file matches")
    sdr("predict", trained.checkpoint, tmp_path, "--json").refused("nor a folder with audio files")
    sdr("predict", trained.checkpoint, tmp_path / "a**b.wav", "--json").refused("no file matches")


def test_predict_takes_any_sample_rate(sdr, trained, tmp_path):
    """A filter from 44,101 or 1,000,003 Hz would take gigabytes."""
    for rate in (44_101, 1_000_003):
        seconds = np.arange(0, 0.25, 1 / rate)
        clip = np.interp(seconds, np.arange(2000) / RATE, speak(3, "eve", 0)[:2000].astype(float))
        path = write_wav(tmp_path / "clip.wav", clip, rate)
        assert json.loads(sdr("predict", trained.checkpoint, path, "--json").out)[0]["digit"] == 3


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x"])
def test_demo_refuses_a_port_that_is_none(sdr, port):
    sdr("demo", "--no-browser", f"--port={port}").refused("--port", port)


# Metadata


def table_with(corpus, path: Path, row: int = 30, **change: object) -> Path:
    """The corpus' table at another place, with a change in a row."""
    clips = corpus.clips.astype({"label": str})
    clips["file"] = [str(corpus.folder / file) for file in clips["file"]]
    for column, value in change.items():
        clips.loc[row, column] = value
    return write_metadata(path, clips)


BAD_TABLES = {
    "no column": (lambda clips: clips.drop(columns="label"), "row 1", "'label'"),
    "unknown split": (lambda clips: clips.assign(split=["VALID", *clips["split"][1:]]), "row 2", "'split'"),
    "duplicate": (lambda clips: clips.assign(identifier=["x", "y", "x", *clips["identifier"][3:]]), "row 4", "'x'"),
    "label 10": (lambda clips: clips.assign(label=[0, 10, *clips["label"][2:]]), "row 3", "'10'"),
    "missing clip": (lambda clips: clips.assign(file=[*clips["file"][:-1], "no.wav"]), "row 121", "'file'"),
}


@pytest.fixture(params=BAD_TABLES)
def bad_table(request, corpus, tmp_path):
    """The path of a metadata table with something wrong, the row and the name of it."""
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


def test_train_says_what_it_replaces(sdr, project, write_config):
    assert "replace" not in sdr("train", write_config()).err + sdr("train", write_config()).err
    assert "tiny/course/seed-0: a model of other settings" in sdr("train", write_config(model={"size": 4})).err


def test_train_says_when_few_clips_make_many_epochs(sdr, project, write_config):
    done = sdr("train", write_config("cnn1d", training={"epochs": 1, "min_steps": 10, "batch_size": 32}))
    assert done.status == 0 and "epochs in place of 1" in done.err and "min_steps" in done.err


def test_train_refuses_a_bad_clip_of_test_before_it_trains(sdr, project, write_config, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "fit", None)
    row = int(corpus.clips["split"].eq("TEST").to_numpy().argmax())
    clip = write_bytes(tmp_path / "clip.wav", b"seven")
    path = table_with(corpus, tmp_path / "clips.tsv", row, file=str(clip))
    sdr("train", write_config(data={"metadata": str(path)})).refused(str(clip), "not an audio file")


@pytest.mark.parametrize("place", ["--store", "--runs"])
def test_train_refuses_a_place_that_cannot_be_written_to_before_it_trains(
    sdr, project, write_config, tmp_path, monkeypatch, place
):
    monkeypatch.setattr(experiments, "fit", None)  # calling it would be an error of another kind
    (tmp_path / "file").touch()
    sdr("train", write_config(), place, tmp_path / "file" / "here").refused("file/here", "could not be written")


# sdr evaluate


def test_evaluate_prints_the_contracts_figures(sdr, trained, corpus):
    for split in ("TEST", "DEV"):
        done = sdr("evaluate", trained.checkpoint, "--metadata", corpus.metadata, "--split", split, "--json")
        assert (done.status, done.err) == (0, "")
        there = trained.result["metrics"][split]
        assert json.loads(done.out) == {key: there[key] for key in ("accuracy", "macro_f1", "n", "per_speaker")}


def test_evaluate_tests_on_test_and_finds_clips_by_root(sdr, trained, corpus, tmp_path):
    moved = write_metadata(tmp_path / "clips.tsv", corpus.clips)
    sdr("evaluate", trained.checkpoint, "--metadata", moved).refused("0_ada_0.wav", "--root")
    done = sdr("evaluate", trained.checkpoint, "--metadata", moved, "--root", corpus.folder)
    test = trained.result["metrics"]["TEST"]
    assert done.status == 0 and done.out.startswith(f"accuracy {test['accuracy']:.1%}")
    assert "20 clips" in done.out and "eve" in done.out and "finn" in done.out


def test_evaluate_refuses_a_split_without_clips(sdr, trained, corpus, tmp_path):
    clips = corpus.clips
    path = write_metadata(corpus.folder / "no-dev.tsv", clips[clips["split"] != "DEV"])
    arguments = ("evaluate", trained.checkpoint, "--metadata", path, "--split")
    sdr(*arguments, "DEV").refused("no clips in the split DEV")
    sdr(*arguments, "HALF").refused("'HALF'")


# sdr train


@pytest.mark.parametrize("model", ["linear", "cnn1d"])
def test_train_leaves_a_result_and_a_checkpoint_that_predict_takes(sdr, project, write_config, corpus, model):
    done = sdr("train", write_config(model, "mine"), "--seed", 5, "--protocol", "loso", "--fold", "finn")
    assert done.status == 0
    assert "Traceback" not in done.err
    result = results.load(project.store / "mine" / "loso-finn" / "seed-5.json")
    assert result["seed"] == 5 and list(result["metrics"]["TEST"]["per_speaker"]) == ["finn"]
    assert "finn" not in result["train_speakers"] and "eve" in result["train_speakers"]
    assert f"TEST: accuracy {result['metrics']['TEST']['accuracy']:.1%}" in done.out
    folder = done.out.splitlines()[-1].removeprefix("checkpoint: ")
    assert Path(folder) == project.runs / "mine" / "loso-finn" / "seed-5"
    drawn = {path.name for path in (Path(folder) / "figures").iterdir()}
    assert drawn == {"TEST_confusion.png", "TEST_speakers.png", "TEST_digits.png"} | {
        "curves.png" for _ in result["history"]
    }
    predicted = sdr("predict", folder, corpus.folder / "2_finn_1.wav", "--json")
    assert predicted.status == 0 and len(json.loads(predicted.out)) == 1


def test_train_writes_to_the_store_that_is_given(sdr, project, write_config, tmp_path):
    assert sdr("train", write_config(), "--store", tmp_path / "other").status == 0
    assert (tmp_path / "other" / "tiny" / "course" / "seed-0.json").exists()
    assert not project.store.exists()


@pytest.mark.parametrize(
    ("sections", "parts"),
    [
        ({"training": {"epoch": 3}}, ("training", "'epoch'", "'epochs'")),
        ({"model": {"name": "cnn1"}}, ("'cnn1'", "'cnn1d'")),
        ({"training": {"epochs": "many"}}, ("epochs", "whole number")),
        ({"data": {"protocol": "corse"}}, ("'corse'", "course")),
        ({"data": {"protocol": "loso"}}, ("loso", "ada", "--fold")),
        ({"training": {"patience": 2}}, ("validation",)),
        ({"data": {"metadata": "nowhere.tsv"}}, ("nowhere.tsv",)),
    ],
)
def test_train_refuses_a_bad_config(sdr, project, write_config, sections, parts):
    sdr("train", write_config("cnn1d", **sections)).refused(*parts)
    assert not project.store.exists() and not project.runs.exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--protocol", "loso", "--fold", "zoe"], ("zoe", "ada")),
        (["--fold", "ada"], ("course", "ada")),
        (["--protocol", "loso"], ("--fold",)),
        (["--protocol", "ratio", "--fold", "x"], ("seed",)),
        (["--seed", "one"], ("--seed", "one")),
        (["--seed", "1" + 30 * "0"], ("--seed",)),
        (["--seed", "-1"], ("--seed",)),
    ],
)
def test_train_refuses_bad_arguments(sdr, project, write_config, arguments, parts):
    sdr("train", write_config("cnn1d"), *arguments).refused(*parts)


def test_train_refuses_a_config_that_is_no_config(sdr, project, tmp_path):
    sdr("train", tmp_path / "none.yaml").refused("none.yaml")
    sdr("train", write_bytes(tmp_path / "a.yaml", b"[1, 2")).refused("a.yaml", "not YAML")
    sdr("train", write_bytes(tmp_path / "b.yaml", b"- linear")).refused("b.yaml", "key: value")


@pytest.mark.parametrize("model", ["linear", "cnn1d"])
def test_train_refuses_clips_where_a_speaker_is_on_both_sides(sdr, project, write_config, corpus, tmp_path, model):
    path = table_with(corpus, tmp_path / "clips.tsv", row=0, split="TEST")
    sdr("train", write_config(model, data={"metadata": str(path)})).refused("'ada' is on both sides")


def test_train_refuses_a_linear_model_without_clips_of_each_digit(sdr, project, write_config, corpus, tmp_path):
    clips = corpus.clips
    clips["file"] = [str(corpus.folder / file) for file in clips["file"]]
    few = clips[(clips["split"] != "TRAIN") | ~clips["label"].isin([4, 7])]
    path = write_metadata(tmp_path / "clips.tsv", few)
    sdr("train", write_config("linear", data={"metadata": str(path)})).refused("4, 7")


# sdr calibrate


def test_calibrate_sets_a_trained_models_threshold(sdr, project, write_config, monkeypatch):
    give_defaults(monkeypatch, calibrating.calibrate, store=project.store)
    config = write_config("cnn1d", "mine")
    sdr("calibrate", config, "--jobs", 1).refused("train it first")
    assert not project.runs.exists()
    folder = sdr("train", config).out.splitlines()[-1].removeprefix("checkpoint: ")
    write_config("cnn1d", "mine", training={"epochs": 3})
    sdr("calibrate", config, "--jobs", 1).refused("other settings")
    write_config("cnn1d", "mine")
    sdr("calibrate", write_config("cnn1d", "left", data={"protocol": "loso", "fold": "ada"})).refused("'course'")
    done = sdr("calibrate", config, "--jobs", 1)
    made = checkpoints.load_calibration(folder, checkpoints.load(folder)[1])
    assert done.status == 0 and 0 < made.threshold < 1 and f"{made.threshold:.1%}" in done.out
    heard = {path.parent.name for path in project.store.rglob("seed-0.json")} - {"course"}
    assert heard == {f"inside-train-{name}" for name in HEARD}  # nobody of DEV or TEST had a say


# sdr reproduce and sdr report


@pytest.fixture
def tables(project, corpus, write_config, monkeypatch, tmp_path):
    """One made table, of two folds and two seeds of a linear model; `tables` collects the runs that are made."""
    write_config("linear", "little")
    columns = {"accuracy, %": lambda row: f"{100 * row['accuracy_mean']:.1f}"}
    table = Table("loso", ("eve", "finn"), columns, {"little": 2})
    for module in (report, experiments):
        monkeypatch.setattr(module, "CONFIGS", tmp_path)
        monkeypatch.setattr(module, "TABLES", {"made": table})
    (project.folder / "README.md").write_text("# Made\n<!-- table made -->\n<!-- end of table -->\n")
    made, run = [], runs.run

    def spy(experiment, seed, **given):
        made.append((experiment.data.fold, seed))
        return run(experiment, seed, **given)

    monkeypatch.setattr(experiments, "run", spy)
    return made


def test_reproduce_runs_what_is_missing_and_renders_the_tables(sdr, project, tables):
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


def test_reproduce_says_how_long_it_will_take_by_how_long_such_runs_took(sdr, project, tables):
    done = sdr("reproduce", "--jobs", 1, "--seeds", 1)
    assert "about 1 minute, 1 at a time; 2 runs of unknown length come on top" in done.out
    for path in project.store.rglob("seed-*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"train_seconds": 599.0}))
    assert "about 20 minutes, 1 at a time\n" in sdr("reproduce", "--jobs", 1).out
    assert "about" not in sdr("reproduce", "--jobs", 1).out  # nothing is left to do


def test_reproduce_pre_trains_once_for_all_runs_that_share_it(sdr, project, tables, write_config, monkeypatch):
    """Few takes and many, and the folds of a protocol whose clips are the same: one pre-training each seed."""
    write_config(
        "cnn1d",
        "little",
        data={"unlabelled": True},
        pretraining={"epochs": 1, "batch_size": 16},
        training={"epochs": 1},
    )
    table = Table("one-speaker", ("ada", "bob"), {}, {"little": 2}, takes=(1, 2))
    for module in (report, experiments):
        monkeypatch.setattr(module, "TABLES", {"made": table})
    monkeypatch.setattr(experiments, "RUNS", project.runs)
    (project.folder / "README.md").write_text("# Made\n")
    done = sdr("reproduce", "--jobs", 1, "--seeds", 1)
    assert done.status == 0, done
    assert sorted(tables) == [("ada", 0), ("ada", 0), ("bob", 0), ("bob", 0)]
    assert len(list((project.runs / "pretrained").glob("*.state"))) == 1


def test_train_takes_one_experiment_of_several_and_few_labels(sdr, project, write_config, tmp_path):
    base = write_config("cnn1d", "base", training={"epochs": 1})
    several = tmp_path / "several.yaml"
    several.write_text(f"base: {base.name}\nvariants: {{calm: {{}}, wild: {{training: {{epochs: 2}}}}}}\n")
    assert sdr("train", several, "--variant", "wild", "--takes", 1).status == 0
    (path,) = project.store.rglob("seed-0.json")
    assert path == project.store / "wild" / "course-takes-1" / "seed-0.json"
    result = json.loads(path.read_text())
    assert result["train_clips"] == 40 and len(result["history"]) == 2
    sdr("train", several).refused("name one; known are calm, wild")
    sdr("train", several, "--variant", "clam").refused("no variant 'clam'")
    for wrong in (0, -1, "x"):
        sdr("train", several, "--variant", "calm", f"--takes={wrong}").refused("--takes", str(wrong))


def test_reproduce_runs_again_what_was_made_by_another_config(sdr, project, tables, write_config):
    sdr("reproduce", "--jobs", 1, "--seeds", 1)
    tables.clear()
    write_config("linear", "little", model={"size": 4})
    sdr("report", "--check").refused("'model'", "run it again")
    assert sdr("reproduce", "--jobs", 1, "--seeds", 1).status == 0
    assert sorted(tables) == [("eve", 0), ("finn", 0)]


def test_reproduce_refuses_what_it_does_not_know(sdr, tables):
    sdr("reproduce", "curse").refused("unknown table 'curse'", "made")
    sdr("reproduce", "--model", "huge").refused("unknown model 'huge'", "little")
    sdr("reproduce", "--seeds", 0).refused("--seeds")
    sdr("reproduce", "--jobs", 0).refused("--jobs")


def test_report_gives_rows_as_json_and_changes_nothing(sdr, project, tables):
    assert json.loads(sdr("report", "--json").out) == []
    sdr("reproduce", "--jobs", 1, "--seeds", 1)
    (project.folder / "README.md").write_text(PLACE_WITH_LIE)
    done = sdr("report", "--json")
    assert (done.status, done.err) == (0, "")
    (row,) = json.loads(done.out)
    assert {"table", "model", "protocol", "accuracy_mean", "accuracy_std", "seeds", "parameters"} <= row.keys()
    assert (row["table"], row["model"], row["protocol"], row["seeds"]) == ("made", "little", "loso", 1)
    assert (project.folder / "README.md").read_text() == PLACE_WITH_LIE


PLACE_WITH_LIE = "<!-- table made -->\n| model | accuracy |\n| little | 99.9 |\n<!-- end of table -->\n"


def test_report_check_refuses_an_edited_table_and_report_renders_it_anew(sdr, project, tables):
    sdr("reproduce", "--jobs", 1, "--seeds", 1)
    (project.folder / "README.md").write_text(PLACE_WITH_LIE)
    sdr("report", "--check").refused("README.md", "a table is not what the results say")
    assert (project.folder / "README.md").read_text() == PLACE_WITH_LIE
    done = sdr("report")
    assert done.status == 0 and "README.md" in done.out and "| little |" in done.out
    assert "99.9" not in (project.folder / "README.md").read_text()
    assert sdr("report", "--check").status == 0


# The command itself


def test_help_names_every_command(sdr):
    done = sdr("--help")
    assert (done.status, done.err) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^    {command}\b", done.out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(sdr, command):
    done = sdr(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"usage: sdr {command}") and len(done.out.splitlines()) > 4


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["pred"],
        ["predict"],
        ["evaluate", "a-checkpoint"],
        ["data", "timit"],
        ["report", "--chek"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_refused_in_one_line(sdr, arguments):
    sdr(*arguments).refused("--help")


def test_an_interrupted_command_says_so(sdr, monkeypatch):
    def report(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "report", report)
    done = sdr("report")
    assert done.status == 130
    assert "interrupted" in done.err and "Traceback" not in done.err


# As a process of its own

INSTALLED = Path(sys.executable).with_name("sdr")
SDR = [str(INSTALLED)] if INSTALLED.exists() else [sys.executable, "-c", "from utils.commands.main import main; main()"]


def process(command: list, **given) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    given = {"stdout": subprocess.PIPE} | given
    return subprocess.run(list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True, **given)


def test_the_command_fails_plainly_as_a_process(trained, tmp_path):
    clip = write_bytes(tmp_path / "clip.wav", b"seven")
    done = process([*SDR, "predict", trained.checkpoint, clip], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"sdr: {clip}: not an audio file (WAV, FLAC, OGG or MP3), or a damaged one\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_that_cannot_be_written_is_told_plainly(trained, corpus):
    with open("/dev/full", "w") as full:
        done = process([*SDR, "predict", trained.checkpoint, corpus.folder / "1_eve_0.wav"], stdout=full)
    assert done.returncode == 2 and done.stderr.startswith("sdr: ") and "Traceback" not in done.stderr


def test_help_does_not_wait_for_torch(tmp_path):
    code = """
        import sys
        from utils.commands.main import main
        try:
            main(["--help"])
        finally:
            print("loaded", *sorted({"torch", "librosa", "pandas", "sklearn"} & set(sys.modules)))
    """
    done = process([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.endswith("loaded\n")


@pytest.mark.parametrize("length", [10, 100_000])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, length):
    """As in `sdr report | head`."""
    code = f"""
        from utils import cli

        def report(given):
            print("x" * {length})

        main.report = report
        main.main(["report"])
    """
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = process([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, stdout=writing)
    finally:
        os.close(writing)
    assert done.stderr == ""


# Tracking


def test_train_is_tracked_where_mlflow_is_installed(sdr, project, write_config):
    mlflow = pytest.importorskip("mlflow")
    done = sdr("train", write_config("cnn1d", "mine"), "--seed", 5)
    assert done.status == 0 and "make tracking" in done.out
    client = mlflow.MlflowClient(f"sqlite:///{project.runs / 'mlflow' / 'runs.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    result = results.load(project.store / "mine" / "course" / "seed-5.json")
    assert run.data.params["training.epochs"] == "2" and run.data.params["model.name"] == "cnn1d"
    assert run.data.metrics["TEST accuracy"] == pytest.approx(result["metrics"]["TEST"]["accuracy"])
    losses = [entry.value for entry in client.get_metric_history(run.info.run_id, "loss")]
    assert losses == pytest.approx([row["loss"] for row in result["history"]])
    kept = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"best_model.pt", "config_snapshot.yaml", "figures"} <= kept


def test_without_mlflow_nothing_is_said_or_written(sdr, project, write_config, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # its import fails
    done = sdr("train", write_config())
    assert done.status == 0 and "track" not in done.out + done.err
    assert not (project.runs / "mlflow").exists()
