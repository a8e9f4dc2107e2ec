"""`sdr evaluate`: a checkpoint on a metadata table."""

import json

from conftest import experiment_of, write_metadata

from utils.experiments import runs


def test_json_has_the_documented_keys(sdr, trained, corpus):
    for split in ("TEST", "DEV"):
        done = sdr("evaluate", trained.checkpoint, "--metadata", corpus.metadata, "--split", split, "--json")
        assert (done.status, done.err) == (0, "")
        expected = trained.result["metrics"][split]
        assert json.loads(done.out) == {key: expected[key] for key in ("accuracy", "macro_f1", "n", "per_speaker")}


def test_the_default_is_test_and_root_locates_the_clips(sdr, trained, corpus, tmp_path):
    moved = write_metadata(tmp_path / "clips.tsv", corpus.clips)
    sdr("evaluate", trained.checkpoint, "--metadata", moved).refused("0_ada_0.wav", "--root")
    done = sdr("evaluate", trained.checkpoint, "--metadata", moved, "--root", corpus.folder)
    test = trained.result["metrics"]["TEST"]
    assert done.status == 0 and done.out.startswith(f"accuracy {test['accuracy']:.1%}")
    assert "20 clips" in done.out and "eve" in done.out and "finn" in done.out


def test_one_clip_is_not_called_clips(sdr, trained, corpus, tmp_path):
    one = corpus.clips.query("split == 'TEST'").head(1)
    table = write_metadata(tmp_path / "one.tsv", one)
    assert " 1 clip: eve" in sdr("evaluate", trained.checkpoint, "--metadata", table, "--root", corpus.folder).out


def test_a_clip_that_is_not_the_listed_one_is_refused(sdr, trained, corpus, tmp_path):
    table = tmp_path / "clips.tsv"
    clips = corpus.clips.assign(file=corpus.clips["path"], sha256="0" * 64).drop(columns="path")
    clips.to_csv(table, sep="\t", index=False)
    done = sdr("evaluate", trained.checkpoint, "--metadata", table)
    assert done.status == 2 and "wrong checksum" in done.err


def test_an_empty_split_is_refused(sdr, trained, corpus, tmp_path):
    clips = corpus.clips
    path = write_metadata(corpus.folder / "no-dev.tsv", clips[clips["split"] != "DEV"])
    arguments = ("evaluate", trained.checkpoint, "--metadata", path, "--split")
    sdr(*arguments, "DEV").refused("no clips in the split DEV")
    sdr(*arguments, "HALF").refused("'HALF'")


def test_adaptation_says_that_the_speakers_other_clips_are_used(sdr, corpus, project):
    experiment = experiment_of(corpus, "cnn1d")
    runs.run(experiment, 0)
    folder = runs.checkpoint_folder(experiment, "course", 0)
    arguments = ("evaluate", folder, "--metadata", corpus.metadata, "--split", "TRAIN", "--json")
    plain, adapted = sdr(*arguments), sdr(*arguments, "--adapt")
    assert adapted.status == 0 and "all of the speaker's clips" in adapted.err and "not comparable" in adapted.err
    told, others = json.loads(adapted.out), json.loads(plain.out)
    assert "without their labels" in told.pop("adaptation") and told.keys() == others.keys()
    assert told["n"] == others["n"] and plain.err == ""
