"""Where the project looks for recordings and metadata tables."""

import os

from utils.paths import COURSE_METADATA, PROJECT, find_metadata, speech_data


def test_speech_data_follows_the_variable_and_home(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):  # the latter on Windows
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("SDR_SPEECH_DATA", os.path.join("~", "clips"))
    assert speech_data() == (tmp_path / "clips").resolve()
    monkeypatch.setenv("SDR_SPEECH_DATA", "~nobody-of-this-name/clips")
    assert speech_data().name == find_metadata("~nobody-of-this-name/clips").name == "clips"
    monkeypatch.setenv("SDR_SPEECH_DATA", "")
    assert speech_data() == PROJECT / "speech_data"


def test_a_table_is_in_the_project_or_with_its_clips(tmp_path, monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    assert find_metadata("SDR_metadata.tsv") == COURSE_METADATA
    assert find_metadata("speech_data/arabic/metadata.tsv") == tmp_path.resolve() / "arabic" / "metadata.tsv"
    assert find_metadata(str(tmp_path / "mine.tsv")) == tmp_path / "mine.tsv"
