"""Speaking into a folder, the archive of synthetic speech, and accented voices."""

import sys

import make_archive
import numpy as np
import pandas as pd
import pytest
import soundfile

from utils import InputError
from utils.data.metadata import read_metadata
from utils.data.synthesis import accents, archive, archive_speech
from utils.data.synthesis.accents import plan_speakers
from utils.data.synthesis.engine import SAMPLE_RATE
from utils.data.synthesis.engines.espeak import Espeak

SPEAKERS = plan_speakers(Espeak(), "en", each=1)[:3]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """The folder and the table of three speakers."""
    folder = tmp_path_factory.mktemp("spoken")
    table, left_out = archive_speech.speak_digits(folder, Espeak(), SPEAKERS, progress=False)
    assert not left_out
    return folder, table


@pytest.fixture(scope="module")
def packed(spoken, tmp_path_factory):
    """An archive of them."""
    return archive.pack([spoken[1]], tmp_path_factory.mktemp("packed") / "archive")


def test_what_was_spoken_is_a_corpus_with_licences(spoken):
    clips = read_metadata(spoken[1])
    assert len(clips) == 30 and set(clips["label"]) == set(range(10))
    assert set(clips["speaker"]) == {speaker.name for speaker in SPEAKERS}
    assert set(clips["may_pass_on"]) == {"yes"} and clips["licence"].str.startswith("GPL").all()


def test_an_interrupted_run_speaks_only_what_is_missing(spoken, tmp_path, monkeypatch):
    spoken_now = []
    speak = archive_speech.speak_utterance

    def interrupt(engine, speaker, utterance):
        spoken_now.append(utterance.clip)
        if len(spoken_now) == 14:
            raise KeyboardInterrupt
        return speak(engine, speaker, utterance)

    monkeypatch.setattr(archive_speech, "speak_utterance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        archive_speech.speak_digits(tmp_path, Espeak(), SPEAKERS, progress=False)
    table, _ = archive_speech.speak_digits(tmp_path, Espeak(), SPEAKERS, progress=False)
    assert len(spoken_now) == 31  # one of them twice: the first time it was interrupted
    assert table.read_text(encoding="utf-8") == spoken[1].read_text(encoding="utf-8")


def test_a_voice_that_fails_is_left_out_and_the_rest_goes_on(tmp_path, monkeypatch):
    speak = archive_speech.speak_utterance

    def fail(engine, speaker, utterance):
        if speaker is SPEAKERS[1]:
            raise InputError("no answer within 20 s")
        return speak(engine, speaker, utterance)

    monkeypatch.setattr(archive_speech, "speak_utterance", fail)
    table, left_out = archive_speech.speak_digits(tmp_path, Espeak(), SPEAKERS, progress=False)
    assert left_out == {SPEAKERS[1].voice: "no answer within 20 s"}
    assert set(read_metadata(table)["speaker"]) == {SPEAKERS[0].name, SPEAKERS[2].name}


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "clean").write_text("in the way")
    with pytest.raises(InputError, match="clean"):
        archive_speech.speak_digits(tmp_path, Espeak(), SPEAKERS, progress=False)


def test_the_archive_gives_back_the_clips(spoken, packed, tmp_path):
    table = archive.unpack("en", packed, tmp_path)
    clips, before = read_metadata(table), read_metadata(spoken[1])
    assert clips[["identifier", "speaker", "label", "text"]].equals(before[["identifier", "speaker", "label", "text"]])
    for new, old in zip(clips["path"], before["path"], strict=True):
        (new, rate), (old, _) = soundfile.read(new), soundfile.read(old)
        assert rate == SAMPLE_RATE and len(new) == len(old)
        assert np.corrcoef(new, old)[0, 1] > 0.9  # Opus is lossy


def test_the_archive_is_unpacked_once(packed, tmp_path, monkeypatch):
    table = archive.unpack("en", packed, tmp_path)
    monkeypatch.setattr(archive, "put_in_room", None)
    assert archive.unpack("en", packed, tmp_path) == table


def test_a_damaged_archive_is_refused_and_leaves_nothing(packed, tmp_path):
    copy = tmp_path / "archive"
    copy.mkdir()
    for file in packed.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    sound = copy / "en-0.opus"
    sound.write_bytes(sound.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="en-0.opus: damaged"):
        archive.unpack("en", copy, tmp_path / "cache")
    sound.unlink()
    with pytest.raises(InputError, match="en-0.opus"):
        archive.unpack("en", copy, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_language_that_the_archive_lacks_is_an_error(packed, tmp_path):
    with pytest.raises(InputError, match="no clips for the language 'xx'"):
        archive.unpack("xx", packed, tmp_path)
    with pytest.raises(InputError, match="checksums.json"):
        archive.unpack("en", tmp_path / "missing", tmp_path)
    for unknown in ("xx", "../en", "/", ""):
        with pytest.raises(InputError, match=r"no archive of synthetic speech in .*there is ar, en"):
            archive.unpack(unknown, cache=tmp_path)


def test_what_a_killed_packing_left_is_no_language(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "ARCHIVE", tmp_path)
    for name in ("en", ".en-a1b2"):
        (tmp_path / name).mkdir()
    for unknown in ("xx", ".en-a1b2"):
        with pytest.raises(InputError, match=r"there is en$"):
            archive.unpack(unknown)


def test_a_packing_can_be_interrupted(tmp_path, monkeypatch):
    def interrupt(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "pack", interrupt)
    monkeypatch.setattr(sys, "argv", ["make_archive.py", "pack", "en/espeak.tsv"])
    with pytest.raises(SystemExit, match="130"):
        make_archive.main()


def test_clips_that_may_not_be_passed_on_are_not_packed(spoken, tmp_path):
    table = pd.read_csv(spoken[1], sep="\t", dtype=str)
    (tmp_path / "clean").symlink_to(spoken[0] / "clean")
    table.loc[:9, "may_pass_on"] = "no"
    table.to_csv(tmp_path / "some.tsv", sep="\t", index=False)
    made = archive.pack([tmp_path / "some.tsv"], tmp_path / "archive")
    assert len(pd.read_csv(made / archive.TABLE, sep="\t")) == 20
    table["may_pass_on"] = "no"
    table.to_csv(tmp_path / "none.tsv", sep="\t", index=False)
    with pytest.raises(InputError, match="no clips to pack"):
        archive.pack([tmp_path / "none.tsv"], tmp_path / "other")


def test_long_archives_are_split_and_large_ones_refused(spoken, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "SECONDS", 4)
    made = archive.pack([spoken[1]], tmp_path / "archive")
    assert len(list(made.glob("en-*.opus"))) > 2
    assert len(read_metadata(archive.unpack("en", made, tmp_path / "cache"))) == 30
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", 1000)
    with pytest.raises(InputError, match="pack fewer clips"):
        archive.pack([spoken[1]], tmp_path / "large")
    assert not (tmp_path / "large").exists()


def test_accented_voices_are_spoken_once_and_a_larger_number_has_the_smaller(tmp_path, monkeypatch):
    few = read_metadata(accents.accented_voices(2, cache=tmp_path))
    more = read_metadata(accents.accented_voices(3, cache=tmp_path))
    assert len(few) == 20 and more["identifier"].tolist()[:20] == few["identifier"].tolist()
    assert few["accent"].nunique() == 2
    monkeypatch.setattr(accents, "speak_clip", None)
    assert len(read_metadata(accents.accented_voices(2, cache=tmp_path))) == 20
    with pytest.raises(InputError, match="at least 1"):
        accents.accented_voices(0, cache=tmp_path)


every_archive = pytest.mark.parametrize("language", ["en", "ar"])


@every_archive
def test_the_committed_archive_is_whole(language):
    archive.verify(archive.ARCHIVE / language)
    clips = pd.read_csv(archive.ARCHIVE / language / archive.TABLE, sep="\t")
    assert set(clips["digit"]) == set(range(10)) and set(clips["language"]) == {language}
    assert clips["speaker"].nunique() >= 50


@pytest.mark.slow
@every_archive
def test_the_committed_archive_can_be_unpacked(language, tmp_path):
    clips = read_metadata(archive.unpack(language, cache=tmp_path))
    assert len(clips) == len(pd.read_csv(archive.ARCHIVE / language / archive.TABLE, sep="\t"))
    assert set(clips["label"]) == set(range(10)) and set(clips["split"]) == {"TRAIN"}


def test_the_committed_archive_is_small():
    sizes = [path.stat().st_size for path in archive.ARCHIVE.rglob("*") if path.is_file()]
    assert max(sizes) <= archive.LARGEST_FILE and sum(sizes) <= archive.LARGEST_ARCHIVE
