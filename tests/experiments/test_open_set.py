"""Open-set tests of a recogniser: the share of clips that it accepts, by corpus."""

import numpy as np
import pytest

from utils import InputError
from utils.experiments import open_set
from utils.experiments.checkpoints import load_recogniser
from utils.inference.calibration import Calibration


def test_a_missing_corpus_is_skipped_but_a_damaged_one_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    assert [name for name, *_ in open_set._sources(8000, 20)] == [
        "other words by synthetic voices, TEST", "synthetic noises, TEST", "synthetic music, TEST", "a silent room"
    ]  # fmt: skip
    for corpus in ("arabic", "audiomnist"):
        (tmp_path / corpus).mkdir()  # without its clips
        with pytest.raises(InputError, match=f"missing.*{corpus}"):
            list(open_set._sources(8000, 20))


def test_the_share_of_accepted_clips_by_corpus(trained, corpus, monkeypatch):
    clips = corpus.clips[corpus.clips["speaker"] == "eve"]
    sources = [
        ("digits", open_set._read(clips, 8000), clips["label"].to_numpy()),
        ("hiss", [np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)], None),
    ]
    monkeypatch.setattr(open_set, "_sources", lambda *_: sources)
    recogniser = load_recogniser(trained.checkpoint)
    table = open_set.acceptance(recogniser)
    assert table["clips"].tolist() == [20, 1] and table["accepted"].tolist() == [1.0, 1.0]
    assert table["right"][0] >= 0.9 and np.isnan(table["right"][1])
    recogniser.calibration = Calibration(threshold=1.0)
    assert open_set.acceptance(recogniser)["accepted"].tolist() == [0.0, 0.0]
