"""Synthetic speech: the same arguments always produce the same bytes, and the clips contain speech."""

import errno
import io
import itertools
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from data_helpers import contents

from utils import InputError
from utils.data.audio import read_audio
from utils.data.metadata import read_metadata
from utils.data.synthesis import corpus, espeak_library
from utils.data.synthesis.voices import ACCENTS, VARIANTS, draw_speaker
from utils.data.synthesis.words import DIGITS
from utils.files import sha256
from utils.paths import PROJECT


def spoken(folder: Path, **arguments) -> dict[str, bytes]:
    table = corpus.speak(folder, **({"speakers": 3, "repetitions": 1, "progress": False} | arguments))
    assert table == folder / "metadata.tsv"
    return contents(folder)


def waveform(clip: bytes) -> tuple[int, np.ndarray]:
    with wave.open(io.BytesIO(clip)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def test_ctrl_c_while_a_word_is_spoken_is_neither_lost_nor_taken_for_silence(monkeypatch):
    def interrupted(*given):
        signal.raise_signal(signal.SIGINT)
        return string_at(*given)

    string_at = espeak_library.ctypes.string_at
    monkeypatch.setattr(espeak_library.ctypes, "string_at", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may ignore the signal
    try:
        with pytest.raises(KeyboardInterrupt):
            espeak_library.speak_word("seven", "gmw/en-US", 160, 50, 50)
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_same_seed_speaks_the_same_bytes_in_another_process(tmp_path):
    spoken(tmp_path / "before", seed=7)  # so that the library is not in its initial state
    here = spoken(tmp_path / "here", speakers=4, repetitions=2, seed=3)
    code = (
        "from pathlib import Path; from utils.data.synthesis import corpus; "
        f"corpus.speak(Path({str(tmp_path / 'there')!r}), speakers=4, repetitions=2, seed=3, progress=False)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
    assert contents(tmp_path / "there") == here
    assert len(here) == 4 * 10 * 2 + 1


def test_a_small_corpus_is_part_of_a_large_one(tmp_path):
    small, large = spoken(tmp_path / "small"), spoken(tmp_path / "large", speakers=5, repetitions=2)
    small.pop("metadata.tsv")
    assert small.items() <= large.items()


def test_seeds_speakers_and_repetitions_all_differ(tmp_path):
    one, other = spoken(tmp_path / "one", repetitions=2), spoken(tmp_path / "other", repetitions=2, seed=1)
    assert one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one)
    one.pop("metadata.tsv")
    assert len(set(one.values())) == 3 * 10 * 2
    combinations = len(VARIANTS) * len(ACCENTS)
    speakers = [draw_speaker(seed, index) for seed in (0, 1) for index in range(combinations + 50)]
    assert len(set(speakers)) == len(speakers)
    assert len({speaker.voice for speaker in speakers[:combinations]}) == combinations


def test_each_seed_has_its_own_voices(monkeypatch):
    voices = []
    monkeypatch.setattr(corpus, "speak_word", lambda word, voice, *_: voices.append(voice) or np.ones(4000))
    for seed in (0, 1):
        corpus._wav({"speaker_index": 0, "word": "nine", "repetition": 0}, seed, 8000)
    assert voices == [draw_speaker(seed, 0).voice for seed in (0, 1)]
    assert voices[0] != voices[1]


@pytest.mark.parametrize("speakers, held_out", [(3, 1), (12, 1), (20, 2)])
def test_the_table_is_valid_and_speaker_disjoint(tmp_path, speakers, held_out):
    spoken(tmp_path, speakers=speakers)
    table = read_metadata(tmp_path / "metadata.tsv")
    assert len(table) == speakers * 10
    assert (table.groupby("speaker")["split"].nunique() == 1).all()
    counts = table.groupby("split")["speaker"].nunique().to_dict()
    assert counts == {"TRAIN": speakers - 2 * held_out, "DEV": held_out, "TEST": held_out}
    assert (table["sha256"] == table["path"].map(sha256)).all()
    assert not table["speaker"].str.contains("_").any()


@pytest.mark.parametrize("sample_rate", [8000, 16000])
def test_clips_contain_sound(tmp_path, sample_rate):
    clips = spoken(tmp_path, speakers=12, sample_rate=sample_rate)
    clips.pop("metadata.tsv")
    for name, clip in clips.items():
        rate, samples = waveform(clip)
        assert rate == sample_rate
        assert 0.15 < len(samples) / rate < 1.5, name
        assert 0.05 < np.abs(samples).max() <= 1, name
        assert np.sqrt(np.mean(samples**2)) > 0.005, name


def test_the_sample_rate_does_not_change_the_pitch(tmp_path):
    """A wrong conversion of the rate would make the speech higher or lower."""
    row = {"speaker_index": 0, "word": "nine", "repetition": 0}
    spectra = []
    for sample_rate in (8000, 16000, 44100):
        rate, samples = waveform(corpus._wav(row, 0, sample_rate))
        power = np.abs(np.fft.rfft(samples, 4 * rate)) ** 2  # a bin is a quarter of a hertz
        spectra.append(power[: 4 * 3500] / power[: 4 * 3500].sum())
    for spectrum in spectra[1:]:
        assert np.minimum(spectrum, spectra[0]).sum() > 0.9


def test_every_voice_is_audible_and_deterministic():
    """Every word is spoken twice, in two orders, so that the state of the library, memory and rand() differs."""
    data = Path(espeak_library.espeakng_loader.get_data_path())
    assert all((data / "voices" / "!v" / variant).is_file() for variant in VARIANTS)
    assert all((data / "lang" / "gmw" / accent).is_file() for accent in ACCENTS)
    spoken_before = {}
    every = [*enumerate(zip(VARIANTS, itertools.cycle(ACCENTS), strict=False))]
    for index, (variant, accent) in every + every[::-1]:
        voice = f"gmw/{accent}+{variant}"
        samples = espeak_library.speak_word(DIGITS[index % 10], voice, 160, 50, 50)
        assert 0.15 < len(samples) / espeak_library.NATIVE_RATE < 1.2, voice
        assert np.sqrt(np.mean(samples**2)) > 300, voice
        assert np.array_equal(spoken_before.setdefault(voice, samples), samples), voice


def test_a_complete_corpus_is_kept_and_a_damaged_one_is_spoken_again(tmp_path):
    first = spoken(tmp_path)
    clip = tmp_path / "6_espeak001_0.wav"
    os.utime(clip, (1, 1))
    assert spoken(tmp_path) == first
    assert clip.stat().st_mtime == 1
    clip.write_bytes(b"RIFF")
    assert spoken(tmp_path) == first
    clip.unlink()
    assert spoken(tmp_path) == first
    (tmp_path / "metadata.tsv").write_text("identifier\tspeaker\n")
    assert spoken(tmp_path) == first


@pytest.mark.parametrize(
    "before, after",
    [
        ({}, {"seed": 7}),
        ({}, {"sample_rate": 16000}),
        ({}, {"repetitions": 2}),
        ({"speakers": 4, "repetitions": 2}, {}),
    ],
)
def test_a_different_corpus_replaces_the_existing_one(tmp_path, before, after):
    there, fresh = tmp_path / "there", tmp_path / "fresh"
    spoken(there, **before)
    (there / "notes.txt").write_text("mine")
    assert spoken(there, **after) == spoken(fresh, **after) | {"notes.txt": b"mine"}


def test_a_failed_run_leaves_the_folder_unchanged(tmp_path, monkeypatch):
    before = spoken(tmp_path)
    speak_one = corpus._wav

    def full(row, seed, sample_rate):
        if row["identifier"] == "3_espeak002_0":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return speak_one(row, seed, sample_rate)

    monkeypatch.setattr(corpus, "_wav", full)
    with pytest.raises(InputError, match="No space left on device"):
        spoken(tmp_path, seed=1)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name, value", [("speakers", 2), ("repetitions", 0), ("seed", -1), ("sample_rate", 0)])
def test_arguments_out_of_range_are_rejected(tmp_path, name, value):
    with pytest.raises(InputError, match=f"^{name} is {value}; "):
        spoken(tmp_path / "corpus", **{name: value})
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("many", [{"speakers": 10**9}, {"repetitions": 10**9}])
def test_a_corpus_beyond_any_disk_is_refused_before_it_is_planned(tmp_path, many):
    with pytest.raises(InputError, match="at most 1,000,000"):
        corpus.speak(tmp_path / "voices", **many)
    assert not (tmp_path / "voices").exists()


def test_the_library_prints_nothing(tmp_path, monkeypatch, capfd):
    spoken(tmp_path / "corpus")
    monkeypatch.setattr(espeak_library.espeakng_loader, "get_data_path", lambda: str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="cannot read its data"):
        spoken(tmp_path / "other")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"audible")
    assert capfd.readouterr().err == "audible"


def test_words_are_spoken_while_standard_error_is_closed():
    expected = espeak_library.speak_word("nine", "gmw/en-US", 160, 50, 50)
    kept = os.dup(2)
    os.close(2)
    try:
        found = espeak_library.speak_word("nine", "gmw/en-US", 160, 50, 50)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert np.array_equal(found, expected)


@pytest.mark.slow
def test_1200_clips_are_spoken_in_15_seconds(tmp_path):
    started = time.perf_counter()
    assert len(spoken(tmp_path, speakers=12, repetitions=10)) == 1201
    assert time.perf_counter() - started < 15


def test_non_digits_share_neither_words_nor_voices_between_train_and_test(tmp_path):
    clips = read_metadata(corpus.speak_non_digits(tmp_path, clips=20), digits=False)
    train, test = (clips[clips["split"] == split] for split in ("TRAIN", "TEST"))
    assert (len(train), len(test)) == (25, 5)
    assert (clips["label"] == "noise").sum() == 6
    assert not set(train["speaker"]) & set(test["speaker"])
    assert set(train["label"]) & set(test["label"]) == {"noise"}
    assert all(len(read_audio(path, 8000)) > 1000 for path in clips["path"])
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.wav")}
    corpus.speak_non_digits(tmp_path, clips=20)
    assert files == {path.name: path.read_bytes() for path in tmp_path.glob("*.wav")}


def test_music_is_made_of_tones(tmp_path):
    """A quarter of the frequencies have nearly all of the power, which in noise all have."""
    clips = read_metadata(corpus.make_music_clips(tmp_path, clips=20), digits=False)
    assert clips["split"].value_counts().to_dict() == {"TRAIN": 20, "TEST": 4}
    assert set(clips["label"]) == {"music"}
    sounds = [read_audio(path, 8000) for path in clips["path"]]
    assert all(1600 <= len(sound) <= 9600 and 0.005 < np.abs(sound).max() < 1 for sound in sounds)
    assert len({sound.tobytes() for sound in sounds}) == 24  # TEST's are others
    for sound in sounds:
        power = np.sort(np.abs(np.fft.rfft(sound[400:1424] * np.hanning(1024))) ** 2)
        assert power[-128:].sum() > 0.9 * power.sum()


def test_the_reader_rejects_words_among_digits_and_digits_among_words(tmp_path):
    table = corpus.speak_non_digits(tmp_path, clips=5)
    with pytest.raises(InputError, match="row 2, column 'label': 'yes' is not a digit"):
        read_metadata(table)
    table.write_text(table.read_text().replace("\tyes\t", "\t7\t"))
    with pytest.raises(InputError, match="row 2, column 'label': '7' is a digit"):
        read_metadata(table, digits=False)
