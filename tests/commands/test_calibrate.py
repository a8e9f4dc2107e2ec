"""`sdr calibrate`: the temperature and the threshold of a trained model."""

from conftest import SEEN, give_defaults

from utils.experiments import calibrating, checkpoints


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
    done = sdr("calibrate", config, "--jobs", 1)
    made = checkpoints.load_calibration(folder, checkpoints.load(folder)[1])
    assert done.status == 0 and 0 < made.threshold < 1 and f"{made.threshold:.1%}" in done.out
    left_out = {path.parent.name for path in project.store.rglob("seed-0.json")} - {"course"}
    assert left_out == {f"inside-train-{name}" for name in SEEN}  # no speaker of DEV or TEST


def test_the_threshold_can_come_from_speakers_held_out_of_further_tables(sdr, project, write_config, corpus):
    config = write_config("cnn1d", "mine")
    sdr("train", config)
    sdr("calibrate", config, "--held-out").refused("no speakers are held out")
    held_out = project.folder / "held_out.tsv"
    table = corpus.clips[corpus.clips["split"] == "TEST"]
    table.assign(file=table["path"]).to_csv(held_out, sep="\t", index=False)
    config = write_config("cnn1d", "mine", data={"also_test": [str(held_out)]})
    sdr("train", config)
    strict, lenient = (sdr("calibrate", config, "--held-out", "--accept", share).out for share in (0.5, 0.97))
    assert strict != lenient and "are rejected" in lenient
    assert not list(project.store.rglob("inside-train*"))  # nothing was trained
    sdr("calibrate", config, "--accept", "97").refused("between 0 and 1")
