"""Off-the-shelf peers: tested on the same clips as models, part by part, with ordinary results in the store."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import RATE, give_defaults, use_table

from utils import InputError
from utils.data.audio import convert_rate, read_audio
from utils.data.corpora import noises
from utils.evaluation import results
from utils.evaluation.metrics import metrics
from utils.evaluation.tables import Column, Table
from utils.experiments import mixtures, peer_results, reporting
from utils.experiments.checkpoints import load_recogniser
from utils.inference import peers
from utils.inference.peers import PEERS, Peer
from utils.paths import speech_data

TABLE = Table(
    "peers",
    "course",
    (Column("TEST", "accuracy"), Column("0", "conditions.0"), Column("ms", "milliseconds"), Column("by", "command")),
    {"digits": 5},
    conditions=("0", "pauses"),
    peers=("parrot",),
)


class Parrot(Peer):
    """Answers as a small model of the project does; interrupted after `patience` clips."""

    NAME, PACKAGES = "parrot", ("pytest",)
    megabytes = 0.5
    heard = 0
    patience = 10_000

    def _load(self):
        self.recogniser = load_recogniser(self.checkpoint)

    def _digits(self, waveform, several):
        type(self).heard += 1
        if self.heard > self.patience:
            raise KeyboardInterrupt
        digit = self.recogniser.recognise([convert_rate(waveform, peers.RATE, RATE)])[0].digit
        return [] if digit == 3 else [digit]  # it never understands a three


@pytest.fixture
def parrot(project, corpus, trained, monkeypatch, tmp_path):
    """A peer that is tested on the generated corpus."""
    recording = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    monkeypatch.setattr(noises, "read_noises", lambda sources: pd.DataFrame({"path": list(sources)}))
    monkeypatch.setattr(noises, "load_noises", lambda table, rate: [recording])
    monkeypatch.setattr(mixtures, "CACHE", tmp_path)
    give_defaults(monkeypatch, mixtures.make_mixtures, strings=4)
    monkeypatch.setattr(peer_results, "PROTOCOLS", {"course": (str(corpus.metadata), "en")})
    monkeypatch.setattr(peer_results, "CHECKPOINTS", tmp_path / "none")
    settings = {"before": 0.0, "after": 0.0, "hiss": 0.0, "words": {"en": [[str(digit)] for digit in range(10)]}}
    monkeypatch.setitem(peers.load_settings(), "parrot", settings)
    monkeypatch.setattr(Parrot, "checkpoint", trained.checkpoint, raising=False)
    monkeypatch.setattr(Parrot, "heard", 0)
    for name in list(PEERS):
        monkeypatch.delitem(PEERS, name)
    monkeypatch.setitem(PEERS, "parrot", Parrot)
    use_table(monkeypatch, TABLE)
    monkeypatch.setattr(peer_results, "load_tables", lambda: {"peers": TABLE})
    return project.store / "parrot" / "course" / "seed-0.json"


def test_a_peer_has_an_ordinary_result_and_a_row(parrot, corpus):
    peer_results.reproduce_peers()
    result, predictions = results.load(parrot), results.load_predictions(parrot)
    results.verify(parrot)
    assert set(result["metrics"]) == {"TEST", "DEV", *mixtures.NOISE} and set(result["field"]) == set(mixtures.STRINGS)
    tested = corpus.clips[corpus.clips["split"] == "TEST"]
    assert set(predictions.query("split == '0'")["identifier"]) == set(tested["identifier"])
    assert {"torch", "commit", "pytest"} <= result["environment"].keys()

    (row,) = reporting.rows("peers")
    assert row["accuracy_mean"] == result["metrics"]["TEST"]["accuracy"] >= 0.8
    assert row["conditions"]["pauses"] == [0.0]  # one digit is never a string
    assert row["milliseconds"] > 0 and row["megabytes"] == 0.5 and row["parameters"] is None
    assert "| parrot |" in reporting.markdown("peers") and "`sdr reproduce peers --model parrot`" in reporting.markdown(
        "peers"
    )


def test_what_is_no_digit_counts_as_an_error(parrot):
    peer_results.reproduce_peers()
    measured = results.load(parrot)["metrics"]["TEST"]
    assert measured["per_digit"]["3"] == 0 and sum(measured["confusion"][3]) == 0
    assert (results.load_predictions(parrot)["predicted"] == -1).any()


def test_an_interrupted_peer_goes_on_after_its_last_complete_part(parrot, monkeypatch):
    monkeypatch.setattr(Parrot, "patience", 20 + 20 + 20 + 5)  # the costs, TEST and "clean", and a little of "10"
    with pytest.raises(KeyboardInterrupt):
        peer_results.reproduce_peers()
    assert list(results.load(parrot)["metrics"]) == ["TEST", "clean"]
    results.verify(parrot)
    assert reporting.rows("peers") == []  # of a table of conditions, none has been tested

    monkeypatch.setattr(Parrot, "patience", 10_000)
    monkeypatch.setattr(Parrot, "heard", 0)
    peer_results.reproduce_peers()
    assert Parrot.heard == 6 * 20 + 3 * 4 + 20  # the other noises, the strings and DEV; no costs
    results.verify(parrot)
    peer_results.reproduce_peers()
    assert Parrot.heard == 152


def test_fewer_clips_are_counted_and_more_of_them_replace_these(parrot):
    peer_results.reproduce_peers(most=3)
    result = results.load(parrot)
    assert {part["n"] for part in result["metrics"].values()} == {3} and set(result["strings"].values()) == {3}
    assert "(3 clips) |" in reporting.markdown("peers")
    peer_results.reproduce_peers(most=4)
    result = results.load(parrot)
    assert {part["n"] for part in result["metrics"].values()} == {4} and set(result["strings"].values()) == {4}
    results.verify(parrot)
    peer_results.reproduce_peers(most=2)
    assert results.load(parrot) == result
    peer_results.reproduce_peers()
    assert results.load(parrot)["sampled"] == {} and "clips)" not in reporting.markdown("peers")


def test_a_row_made_with_other_settings_or_clips_is_refused(parrot, monkeypatch):
    peer_results.reproduce_peers(most=2)
    changed = peers.load_settings()["parrot"] | {"hiss": 0.1}
    monkeypatch.setitem(peers.load_settings(), "parrot", changed)
    with pytest.raises(InputError, match="parrot: made with other settings"):
        reporting.rows("peers")
    peer_results.reproduce_peers(most=2)  # makes it again
    assert len(reporting.rows("peers")) == 1
    parrot.write_text(json.dumps(results.load(parrot) | {"metadata_sha256": "0" * 64}))
    with pytest.raises(InputError, match="parrot: made from other clips"):
        reporting.rows("peers")


def test_a_peer_that_is_unknown_or_not_installed_is_named(parrot, monkeypatch):
    with pytest.raises(InputError, match="unknown peer 'siri'; known are parrot"):
        peer_results.reproduce_peers("siri")

    def missing(self):
        raise ImportError

    monkeypatch.setattr(Parrot, "_load", missing)
    with pytest.raises(InputError, match="parrot is not installed: `pip install pytest`"):
        peer_results.reproduce_peers()


def test_the_command_tests_peers_draws_the_figure_and_refuses_other_options(parrot, sdr, project, monkeypatch):
    noise = Table("noise", "course", TABLE.columns, {}, conditions=("10",), peers=("parrot",))
    monkeypatch.setattr(reporting, "load_tables", lambda: {"peers": TABLE, "noise": noise})
    (project.folder / "docs").mkdir()
    done = sdr("reproduce", "peers", "--clips", 2)
    assert done.status == 0 and "| parrot |" in done.out, done
    figure = project.folder / "docs" / "accuracy_and_cost.png"
    drawn = figure.read_bytes()
    reporting.update(check=True)
    path = results.costs_path(project.store)
    costs = json.loads(path.read_text())
    costs["costs"]["parrot"]["milliseconds"] *= 2
    path.write_text(json.dumps(costs))
    with pytest.raises(InputError, match=re.escape(f"{figure}: does not match the results")):
        reporting.update(check=True)
    assert figure.read_bytes() == drawn  # a check changes nothing
    assert reporting.update() == [figure.name] and figure.read_bytes() != drawn
    reporting.update(check=True)
    sdr("reproduce", "peers", "--seeds", 1).refused("--model, --clips and --again")
    sdr("reproduce", "--clips", 1).refused("--clips", "sdr reproduce peers")


def test_the_average_over_digits_leaves_out_the_answer_that_is_none():
    labels, speakers = np.arange(10), np.full(10, "eve")
    assert metrics(labels, labels, speakers)["macro_f1"] == 1
    predicted = np.where(labels == 4, -1, labels)
    assert metrics(labels, predicted, speakers)["macro_f1"] == pytest.approx(0.9)


# The peers themselves


@pytest.mark.slow
@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the course's clips are not here")
@pytest.mark.parametrize("name", ["pocketsphinx", "whisper_base"])
def test_a_peer_recognises_digits_and_strings(name):
    try:
        peer = PEERS[name]()
    except InputError as error:
        pytest.skip(str(error))
    spoken = [read_audio(speech_data() / f"{digit}_jackson_0.wav", peers.RATE) for digit in range(10)]
    assert sum(peer.recognise(clip) == digit for digit, clip in enumerate(spoken)) >= 7
    pause = np.zeros(peers.RATE // 3, np.float32)
    string = peer.recognise_string(np.concatenate([spoken[4], pause, spoken[2], pause, spoken[7]]))
    assert string.isdecimal() and len(string) >= 2
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(peers.RATE) / peers.RATE).astype(np.float32)
    assert peer.recognise(hum) in {None, *range(10)}
    assert peer.megabytes > 5 and peer.version
