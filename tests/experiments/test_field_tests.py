"""The field tests of a recogniser: strings of digits, and clips that contain no digit."""

import numpy as np
import pytest

from utils import InputError
from utils.data.metadata import read_metadata
from utils.experiments import field_tests
from utils.experiments.checkpoints import load_recogniser
from utils.inference.calibration import Calibration
from utils.paths import COURSE_METADATA, speech_data


def test_strings_of_digits(trained, corpus):
    clips = corpus.clips[corpus.clips["speaker"] == "eve"]
    strings = field_tests.digit_strings(load_recogniser(trained.checkpoint), clips, number=10)
    assert strings["spoken"].map(len).between(4, 8).all()
    assert (strings["spoken"] == strings["heard"]).mean() >= 0.8
    assert strings.equals(field_tests.digit_strings(load_recogniser(trained.checkpoint), clips, number=10))


@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the course's clips are not here")
def test_endpointing_on_strings_of_real_digits():
    clips = read_metadata(COURSE_METADATA)
    strings = field_tests.digit_strings(load_recogniser(), clips[clips["split"] == "TEST"], number=20)
    assert (strings["spoken"].map(len) == strings["heard"].map(len)).mean() >= 0.9


def test_a_missing_corpus_is_skipped_but_a_damaged_one_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    assert [name for name, *_ in field_tests._sources(8000, 20)] == [
        "other words by synthetic voices, TEST", "synthetic noises, TEST", "a silent room"
    ]  # fmt: skip
    (tmp_path / "audiomnist").mkdir()  # without its clips
    with pytest.raises(InputError, match="missing"):
        list(field_tests._sources(8000, 20))


def test_the_share_of_accepted_clips_by_corpus(trained, corpus, monkeypatch):
    clips = corpus.clips[corpus.clips["speaker"] == "eve"]
    sources = [
        ("digits", field_tests._read(clips, 8000), clips["label"].to_numpy()),
        ("hiss", [np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)], None),
    ]
    monkeypatch.setattr(field_tests, "_sources", lambda *_: sources)
    recogniser = load_recogniser(trained.checkpoint)
    table = field_tests.acceptance(recogniser)
    assert table["clips"].tolist() == [20, 1] and table["accepted"].tolist() == [1.0, 1.0]
    assert table["right"][0] >= 0.9 and np.isnan(table["right"][1])
    recogniser.calibration = Calibration(threshold=1.0)
    assert field_tests.acceptance(recogniser)["accepted"].tolist() == [0.0, 0.0]
