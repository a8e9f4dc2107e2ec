"""`sdr calibrate`: the temperature and the threshold of a trained model, and the probabilities of digits in strings."""

from pathlib import Path
from types import SimpleNamespace

from conftest import RATE, SEEN, experiment_of, give_defaults

from utils.experiments import calibrating, checkpoints
from utils.features.extraction import clip_features
from utils.inference.recogniser import Prediction, Word
from utils.inference.strings import PlattScaling

CRNN = {
    "features": {"trim_db": None, "level": "none", "range_db": 80, "mean_db": -40},
    "model": {"channels": [16, 16, 16], "width": 16, "units": 16},
    "strings": {"number": 16, "most_words": 1},
    "training": {"epochs": 1},
}


def test_the_threshold_comes_from_the_training_speakers(sdr, project, write_config, monkeypatch):
    give_defaults(monkeypatch, calibrating.calibrate, store=project.store)
    config = write_config("cnn1d", "mine")
    sdr("calibrate", config, "--jobs", 1).refused("train it first")
    assert not project.runs.exists()
    folder = sdr("train", config).out.splitlines()[-1].removeprefix("checkpoint: ")
    write_config("cnn1d", "mine", training={"epochs": 3})
    sdr("calibrate", config, "--jobs", 1).refused("other settings")
    write_config("cnn1d", "mine")
    sdr("calibrate", write_config("cnn1d", "left", data={"protocol": "loso", "fold": "ada"})).refused("'course'")
    (blocked := Path(folder) / "calibration.json").mkdir()
    sdr("calibrate", config, "--jobs", 1).refused("calibration.json: not a regular file")  # before the work
    assert not list(project.store.rglob("inside-train*"))
    blocked.rmdir()
    done = sdr("calibrate", config, "--jobs", 1)
    made = checkpoints.load_calibration(folder, checkpoints.load(folder)[1])
    assert done.status == 0 and 0 < made.threshold < 1 and f"{made.threshold:.1%}" in done.out
    left_out = {path.parent.name for path in project.store.rglob("seed-0.json")} - {"course"}
    assert left_out == {f"inside-train-{name}" for name in SEEN}  # no speaker of DEV or TEST


def test_the_threshold_can_come_from_speakers_held_out_elsewhere(sdr, project, write_config, corpus, monkeypatch):
    config = write_config("cnn1d", "mine")
    sdr("train", config)
    sdr("calibrate", config, "--held-out").refused("no speakers are held out")
    clips = corpus.clips.assign(file=corpus.clips["path"])
    held_out, further = project.folder / "held_out.tsv", project.folder / "further.tsv"
    clips.query("split == 'TEST'").to_csv(held_out, sep="\t", index=False)
    clips.query("speaker in ['ada', 'eve'] and split != 'TEST'").to_csv(further, sep="\t", index=False)
    config = write_config("cnn1d", "mine", data={"also_test": [str(held_out)], "also_train": [str(further)]})
    sdr("train", config)
    used = []
    monkeypatch.setattr(calibrating, "clip_features", lambda clips, _: used.append(clips) or clip_features(clips, _))
    strict, lenient = (sdr("calibrate", config, "--held-out", "--accept", share).out for share in (0.5, 0.97))
    assert strict != lenient and "are rejected" in lenient
    assert used[0]["speaker"].value_counts().to_dict() == {"eve": 20, "finn": 10}  # nobody who is trained on
    assert not list(project.store.rglob("inside-train*"))  # nothing was trained
    sdr("calibrate", config, "--accept", "97").refused("between 0 and 1")


def test_a_model_of_strings_gets_the_scaling_of_its_probabilities(sdr, project, write_config, corpus, monkeypatch):
    table = corpus.clips[corpus.clips["split"] == "TEST"]
    held_out = project.folder / "held_out.tsv"
    table.assign(file=table["path"]).to_csv(held_out, sep="\t", index=False)
    config = write_config("crnn", "mine", data={"also_test": [str(held_out)]}, **CRNN)
    folder = sdr("train", config).out.splitlines()[-1].removeprefix("checkpoint: ")
    monkeypatch.setattr(calibrating, "STRINGS", 16)
    assert sdr("calibrate", config, "--held-out").status == 0
    monkeypatch.setattr(calibrating, "recognised", lambda *_: ([0.3, 0.8] * 10, [False, False, True, True] * 5))
    assert "multiplied by" in sdr("calibrate", config, "--held-out").out
    scaling = checkpoints.load_recogniser(folder).scaling
    assert scaling != PlattScaling()


def test_a_digit_recognised_in_a_string_is_correct_if_it_was_spoken_there(corpus, monkeypatch):
    words = [Word(0.0, 0.1, Prediction(digit, 0.5, ())) for digit in (3, 7, 7)]
    made = SimpleNamespace(sample_rate=RATE, recognise_words=lambda waveform: words)
    monkeypatch.setattr(checkpoints, "make_recogniser", lambda *_: made)
    monkeypatch.setattr(calibrating, "STRINGS", 8)
    sevens = corpus.clips.query("label == 7")  # each string is a single "seven"
    probabilities, correct = calibrating.recognised(None, experiment_of(corpus, "crnn", **CRNN), sevens)
    assert correct == [False, True, False] * 8 and probabilities == [0.5] * 24
