"""Words and voices that models of the other engines do not understand: what is found, printed and written."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import RATE, speak, write_wav

from utils.applications import synthesis_check
from utils.applications.synthesis_check import LEAST_CLIPS, Report
from utils.data.synthesis import accents, archive, selection
from utils.experiments.config import load_experiment
from utils.paths import CONFIGS

ENGINES = ("festival", "flite", "espeak")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Two tables: flite and festival, and the accents. Flite's "six" is another digit's word, its voice slt noise."""
    folder = tmp_path_factory.mktemp("spoken")
    rows = []
    for engine in ENGINES:
        for voice in ("awb", "slt"):
            for number in range(LEAST_CLIPS):
                speaker = f"{engine}-{voice}-{number:02d}"
                for digit in range(10):
                    sound = speak(9 if (engine, digit) == ("flite", 6) else digit, speaker, 0)
                    if (engine, voice) == ("festival", "slt"):
                        sound = np.random.default_rng(number).normal(0, 0.1, len(sound)).astype(np.float32)
                    name = f"{digit}_{speaker}"
                    write_wav(folder / f"{name}.wav", sound, RATE)
                    rows.append((name, speaker, "TRAIN", digit, f"{name}.wav", engine, voice, "us", f"word {digit}?"))
    columns = ["identifier", "speaker", "split", "label", "file", "engine", "voice", "accent", "text"]
    clips = pd.DataFrame(rows, columns=columns)
    tables = SimpleNamespace(archive=folder / "archive.tsv", accents=folder / "accents.tsv")
    clips[clips["engine"] != "espeak"].to_csv(tables.archive, sep="\t", index=False)
    clips[clips["engine"] == "espeak"].to_csv(tables.accents, sep="\t", index=False)
    return tables


@pytest.fixture
def quick(spoken, monkeypatch, tmp_path):
    """The check of these tables by a linear model, and a folder for the archive's list."""
    monkeypatch.setattr(archive, "unpack", lambda language: spoken.archive)
    monkeypatch.setattr(accents, "accented_voices", lambda number, language: spoken.accents)
    monkeypatch.setattr(synthesis_check, "_judge", lambda: load_experiment(CONFIGS / "linear.yaml"))
    monkeypatch.setattr(archive, "ARCHIVE", tmp_path)
    (tmp_path / "en").mkdir()
    return tmp_path / "en" / archive.NOT_UNDERSTOOD


def test_planted_faults_are_found_written_and_left_out(sdr, quick, spoken):
    done = sdr("data", "voices", "en", "--write")
    assert (done.status, done.err) == (1, "")
    assert "mispronounced (1 word)" in done.out and "people (1 voice)" in done.out
    assert "flite us 6 [word 6]: 0% of 10 clips, mostly predicted as 9 otherwise" in done.out
    assert "festival slt:" in done.out
    clips = pd.read_csv(spoken.archive, sep="\t")
    kept = selection.understood(clips, quick.parent)
    gone = clips.drop(kept.index)
    assert set(zip(gone["engine"], gone["voice"], strict=True)) == {
        ("flite", "awb"), ("flite", "slt"), ("festival", "slt"),
    }  # fmt: skip
    assert set(gone.loc[gone["engine"] == "flite", "label"]) == {6} and len(gone) == 2 * LEAST_CLIPS + 10 * LEAST_CLIPS


def test_json_lists_every_word_and_voice(sdr, quick):
    done = sdr("data", "voices", "en", "--json")
    report = json.loads(done.out)
    assert (done.status, report["language"], report["clips"]) == (1, "en", 300)
    assert (len(report["digits"]), len(report["voices"]), len(report["words"])) == (30, 6, 30)
    (word,) = report["mispronounced"]
    assert (word["engine"], word["digit"], word["predicted"], word["understood"]) == ("flite", 6, 9, 0)
    assert not quick.exists()


def test_the_second_time_the_predictions_come_from_the_cache(sdr, quick, monkeypatch):
    first = sdr("data", "voices", "en")
    monkeypatch.setattr(synthesis_check, "fit", None)
    assert sdr("data", "voices", "en") == first


def test_if_everything_is_understood_the_status_is_0(sdr, quick, monkeypatch):
    monkeypatch.setattr(synthesis_check, "WORD_SHARE", 0)
    monkeypatch.setattr(synthesis_check, "VOICE_SHARE", 0)
    assert sdr("data", "voices", "en").status == 0


def test_one_engine_alone_cannot_be_judged(sdr, quick, spoken, monkeypatch):
    monkeypatch.setattr(archive, "unpack", lambda language: spoken.accents)
    done = sdr("data", "voices", "en")
    assert done.status == 2 and "only espeak speaks" in done.err


def test_a_language_that_the_archive_lacks(sdr):
    done = sdr("data", "voices", "xx")
    assert done.status == 2 and "xx" in done.err and "Traceback" not in done.err


def report_of(*groups: tuple[int, int]) -> Report:
    """One word for each (understood, number) of clips."""
    rows = [
        ("flite", "slt", "us", word, str(word), word if clip < understood else 9)
        for word, (understood, number) in enumerate(groups)
        for clip in range(number)
    ]
    return Report("en", pd.DataFrame(rows, columns=["engine", "voice", "accent", "digit", "word", "predicted"]))


def test_the_rule_for_words():
    few = LEAST_CLIPS - 1
    report = report_of((LEAST_CLIPS, 2 * LEAST_CLIPS), (LEAST_CLIPS - 1, 2 * LEAST_CLIPS), (0, few), (20, 20))
    assert report.mispronounced()["word"].tolist() == ["1"]
    assert report.failing_voices().empty
    assert report.by("engine", "digit")["digit"].tolist() == [2, 1, 0, 3]
    assert report.by("engine", "digit")["predicted"].tolist() == [9, 9, 9, -1]
