"""`sdr language`: one language from the command line, with eSpeak NG, and what is refused."""

import json

import pytest

from utils.applications.language import training


def test_a_model_is_made_and_recognises_a_clip(sdr, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CLIPS_SEEN", 20)
    done = sdr("language", "bn", "--speakers", 3, "--output", tmp_path / "bn")
    assert done.status == 0 and "Traceback" not in done.err
    assert "Bengali" in done.out and "[ʃˈat]" in done.out and "Record three people" in done.out
    clip = next((tmp_path / "bn" / "speech" / "clips").glob("7_*.wav"))
    predicted = sdr("predict", tmp_path / "bn" / "model", clip, "--json")
    assert predicted.status == 0 and len(json.loads(predicted.out)) == 1


def test_languages_are_listed(sdr):
    done = sdr("language", "--list")
    assert done.status == 0 and "Polish" in done.out and "Bengali" in done.out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["--list"]),
        (["pl", "--list"], ["--list"]),
        (["xx"], ["no engine speaks 'xx'"]),
        (["pl", "--speakers", "0"], ["--speakers"]),
        (["pl", "--speakers", "1"], ["at least 2"]),
        (["pl", "--speakers", "1000000000"], ["at most 100,000"]),
        (["pl", "--metadata", "missing.tsv"], ["missing.tsv", "no such file"]),
        (["pl", "--words", "missing.txt"], ["missing.txt", "no such file"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(sdr, tmp_path, arguments, parts):
    sdr("language", *arguments, "--output", tmp_path / "out").refused(*parts)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("zero jeden dwa trzy cztery pięć sześć siedem osiem", "9 words"),
        ("zero jeden dwa trzy cztery pięć sześć siedem osiem zero", "both 0 and 9"),
        ("morze może dwa trzy cztery pięć sześć siedem osiem dziewięć", "0 and 1 alike"),
    ],
)
def test_a_wrong_list_of_words_is_refused(sdr, tmp_path, words, part):
    path = tmp_path / "words.txt"
    path.write_text("\n".join(words.split()), encoding="utf-8")
    sdr("language", "pl", "--words", path, "--output", tmp_path / "out").refused(part)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused(sdr, tmp_path):
    (tmp_path / "file").write_text("")
    sdr("language", "pl", "--output", tmp_path / "file" / "out").refused("file")
