"""From nothing to a model of a language's digits: what is written, what is said of it, and how it is resumed."""

import pandas as pd
import pytest
import soundfile
import torch
from conftest import RATE, speak, write_metadata
from made_engines import Made

from utils import InputError
from utils.applications.language import build as language
from utils.applications.language import report, training
from utils.applications.language.training import balance
from utils.data.digit_words import read_words
from utils.data.metadata import read_metadata
from utils.data.synthesis.lexicon import Lexicon
from utils.evaluation import figures
from utils.experiments import checkpoints
from utils.paths import RUNS
from utils.training import loop

POLISH = ("zero", "jeden", "dwa", "trzy", "cztery", "pięć", "sześć", "siedem", "osiem", "dziewięć")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """One fast engine, trainings of an epoch or two, and pictures with nothing in them."""
    monkeypatch.setattr(language, "engines", lambda: {"made": Made("anna", "ben", "cleo")})
    monkeypatch.setattr(training, "CLIPS_SEEN", 40)
    monkeypatch.setattr(training, "CLIPS_SEEN_AGAIN", 40)
    monkeypatch.setattr(language, "find_lexicon", find_lexicon)
    monkeypatch.setattr(figures, "confusion", lambda *given: None)


def find_lexicon(code: str, words=None, source: str = "the table") -> Lexicon:
    """Without eSpeak NG, which is tested elsewhere: words are pronounced as they are spelled."""
    words = words or tuple((word,) for word in POLISH)
    return Lexicon(code, words, words, words, source)


def build(folder, **given):
    said = []
    language.build("pl", folder, speakers=3, progress=False, say=said.append, **given)
    return "\n".join(said)


def recordings_of(folder, speakers) -> "pd.DataFrame":
    """Recordings, as far as anybody can tell: the same engine with other voices."""
    folder.mkdir()
    rows = []
    for speaker, split in speakers.items():
        for digit, word in enumerate(POLISH):
            sound = Made(speaker).speak(word, speaker, rate=0.9)
            soundfile.write(folder / f"{digit}_{speaker}.wav", sound, 16000)
            rows.append((f"{digit}_{speaker}", speaker, split, digit, f"{digit}_{speaker}.wav"))
    table = pd.DataFrame(rows, columns=["identifier", "speaker", "split", "label", "file"])
    table.to_csv(folder / "metadata.tsv", sep="\t", index=False)
    return folder / "metadata.tsv"


def test_it_writes_a_model_its_card_and_everything_to_go_on_with(tmp_path):
    said = build(tmp_path)
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {
        "confusion.png", "confusion.txt", "model", "pronunciation.tsv", "speech", "to_read.tsv", "words.tsv"
    }  # fmt: skip
    model, experiment = checkpoints.load(tmp_path / "model")
    assert experiment.name == "language_pl" and experiment.model_name == "resnet"
    card = (tmp_path / "model" / "README.md").read_text()
    for text in (card, said, (tmp_path / "confusion.txt").read_text()):
        assert "synthetic speakers who were left out of training" in text
        assert "people will be\nrecognised less well" in text
    assert "| made | 2 | 20 | 10 |" in card and "on no person" in card and "| 7 | siedem | siedem |" in card
    assert "sdr record speech_data/pl" in said and "Record three people" in said
    assert checkpoints.load_recogniser(tmp_path / "model").predict([tmp_path / "speech" / read_metadata(
        tmp_path / "speech" / "metadata.tsv")["file"][0]])  # fmt: skip


def test_a_word_that_is_corrected_in_the_folder_is_spoken_and_learned(tmp_path):
    build(tmp_path)
    weights = (tmp_path / "model" / "best_model.pt").read_bytes()
    path = tmp_path / "words.tsv"
    assert read_words(path)[0] == ("zero",)
    path.write_text(path.read_text().replace("zero", "zero/nic"))
    said = build(tmp_path)
    assert f"the words of {path}" in said and "zero/nic" in said
    spoken = read_metadata(tmp_path / "speech" / "metadata.tsv")
    assert set(spoken.loc[spoken["label"] == 0, "text"]) <= {"zero", "nic"}
    assert (tmp_path / "model" / "best_model.pt").read_bytes() != weights


def test_a_file_of_words_replaces_those_of_the_folder(tmp_path):
    build(tmp_path / "pl", words_only=True)
    words = tmp_path / "words.txt"
    words.write_text("\n".join(("nic", *POLISH[1:])), encoding="utf-8")
    assert "nic" in build(tmp_path / "pl", words=words, words_only=True)
    assert read_words(tmp_path / "pl" / "words.tsv")[0] == ("nic",)


def test_only_the_words_are_shown_if_asked(tmp_path):
    assert "siedem" in build(tmp_path, words_only=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pronunciation.tsv", "to_read.tsv", "words.tsv"]


def test_an_interrupted_run_goes_on_where_it_stopped_and_a_finished_one_is_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CLIPS_SEEN", 60)  # three epochs
    whole = build(tmp_path / "whole")
    write, epochs, spoken = loop.write_atomically, [], []

    def count(path, content):
        write(path, content)
        epochs.append(path)
        if len(epochs) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "write_atomically", count)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "stopped")
    monkeypatch.setattr("utils.data.synthesis.language_speech.write_clip", lambda *given: spoken.append(given))
    again = build(tmp_path / "stopped")
    assert len(epochs) == 3 and spoken == []
    build(tmp_path / "stopped")
    assert len(epochs) == 3
    one, other = (
        torch.load(tmp_path / name / "model" / "best_model.pt")["model_state"] for name in ("whole", "stopped")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    results = [text[text.index("Synthetic speakers") : text.index("Done in")] for text in (whole, again)]
    assert results[0] == results[1]


def test_recordings_are_added_and_their_gain_is_measured_by_leaving_each_speaker_out(tmp_path, monkeypatch):
    table = recordings_of(tmp_path / "rec", {"ida": "TRAIN", "jan": "TRAIN", "kaja": "TRAIN", "leo": "TEST"})
    seen = []
    real = training.SpokenDigits
    monkeypatch.setattr(
        training,
        "SpokenDigits",
        lambda clips, *given, **more: (seen.append(set(clips["speaker"])), real(clips, *given, **more))[1],
    )
    said = build(tmp_path / "pl", metadata=table)
    people = [speakers & {"ida", "jan", "kaja", "leo"} for speakers in seen]
    assert sorted(map(sorted, people)) == [
        [],
        [],
        *(["ida", "jan"], ["ida", "jan", "kaja"], ["ida", "kaja"], ["jan", "kaja"]),
    ]
    for speaker in ("ida", "jan", "kaja"):
        assert f"{speaker:4}  synthesis alone" in said
    assert "In all 30 clips:" in said and "TEST, recorded and never trained on:" in said
    card = (tmp_path / "pl" / "model" / "README.md").read_text()
    assert "30 recordings of ida, jan, kaja" in card and "In all 30 clips:" in card and "few people" in card
    assert checkpoints.load(tmp_path / "pl" / "model")[1].data.also_train


def test_one_recorded_speaker_cannot_be_measured(tmp_path):
    table = recordings_of(tmp_path / "rec", {"ida": "TRAIN"})
    assert "ida is the only speaker of TRAIN" in build(tmp_path / "pl", metadata=table)


def test_recordings_without_training_speakers_are_refused(tmp_path):
    table = recordings_of(tmp_path / "rec", {"ida": "TEST"})
    with pytest.raises(InputError, match="nothing to add to training"):
        build(tmp_path / "pl", metadata=table)
    assert not (tmp_path / "pl").exists()


def test_a_language_is_not_trained_on_its_test_recordings(corpus, tmp_path):
    clips = corpus.clips
    clips["file"] = clips["path"]
    soundfile.write(tmp_path / "mine.ogg", speak(4, "eve", 1), RATE)
    stolen = pd.DataFrame([["mine", "zoe", "TRAIN", 4, "mine.ogg"]], columns=clips.columns[:5])
    table = write_metadata(tmp_path / "clips.tsv", pd.concat([clips, stolen]))
    with pytest.raises(InputError, match="both sides"):
        build(tmp_path / "out", metadata=table)


def test_a_voice_that_was_left_out_is_named_in_the_card(tmp_path, monkeypatch):
    monkeypatch.setattr(language, "engines", lambda: {"made": Made("anna", "ben", "dies")})
    said = build(tmp_path)
    assert "left out: made dies (it crashed" in said
    assert "Voice left out: made dies" in (tmp_path / "model" / "README.md").read_text()


def test_a_full_disk_is_reported_and_no_model_is_half_written(tmp_path, monkeypatch):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(InputError, match="No space left on device"):
        build(tmp_path)
    assert not (tmp_path / "model").exists()


def test_the_rarer_of_two_engines_is_repeated():
    clips = pd.DataFrame({"engine": ["many"] * 40 + ["few"] * 20 + ["one"], "file": range(61)})
    counts = balance(clips, "engine")["engine"].value_counts()
    assert counts.to_dict() == {"many": 40, "few": 40, "one": 3}


def test_a_reading_list_has_every_digit_equally_often_and_all_its_words():
    lexicon = find_lexicon("pl", (("zero", "nic"), *((word,) for word in POLISH[1:])))
    header, *rows = [line.split("\t") for line in report.reading_list(lexicon).splitlines()]
    table = pd.DataFrame(rows, columns=header)
    assert set(table.groupby(["reader", "digit"]).size()) == {5} and table["reader"].nunique() == 3
    assert set(table.loc[table["digit"] == "0", "word"]) == {"zero", "nic"}
    assert table.loc[table["reader"] == "1", "digit"].tolist() != table.loc[table["reader"] == "2", "digit"].tolist()


def test_the_next_command_writes_to_the_same_folder(tmp_path):
    assert f" --output {tmp_path / 'language-pl'}" in report.next_steps("pl", tmp_path / "language-pl", recorded=False)
    assert "--output" not in report.next_steps("pl", RUNS / "language-pl", recorded=False)


def test_digits_that_sound_alike_are_named():
    counts = 20 * torch.eye(10, dtype=int).numpy()
    assert "no digit is taken for another" in report.confusion_text(counts, find_lexicon("pl"))
    counts[2, 7] = 20
    assert "2 (dwa) is taken for 7 (siedem): 50.0%" in report.confusion_text(counts, find_lexicon("pl"))


def test_languages_are_listed_with_their_engines(monkeypatch):
    class Missing(Made):
        def missing(self):
            return "pip install missing"

    made = {"espeak": Made("a", name="espeak"), "pico": Made("a", name="pico"), "gone": Missing("a", name="gone")}
    monkeypatch.setattr(language, "engines", lambda: made)
    lines = language.list_languages().splitlines()
    (polish,) = (line for line in lines if line.startswith("pl "))
    (german,) = (line for line in lines if line.startswith("de "))
    assert "Polish" in polish and polish.endswith(" espeak") and german.endswith(" espeak, pico")
    assert lines[-1] == "not installed: gone (pip install missing)"
    names, start = lines[: lines.index("")], lines[0].index("language")
    assert all(line[start - 1] == " " != line[start] and "//" not in line for line in names)
