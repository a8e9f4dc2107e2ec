"""Features of many clips are in the order of the clips, and those of files are cached by content."""

import errno
import os
import shutil
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile
import torch
from conftest import RATE, speak

from utils import InputError
from utils.features import cache, extraction
from utils.features.cache import MEMORY, cached
from utils.features.extraction import extract, file_features
from utils.features.log_mel import FeatureConfig


def test_extract_returns_the_features_of_each_clip_in_order():
    config = FeatureConfig(n_mels=20)
    random = np.random.default_rng(1)
    clips = [speak(digit % 10, "ada", digit) for digit in range(23)]
    clips = [clips[i][: random.integers(400, len(clips[i]))] for i in random.permutation(23)]
    together = extract(clips, config, batch_size=4)
    for clip, ours in zip(clips, together, strict=True):
        (alone,) = extract([clip], config)
        assert ours.shape == alone.shape
        torch.testing.assert_close(ours, alone, atol=1e-4, rtol=0)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three audio files. `files.computed` counts the clips whose features have been computed."""

    class Files(list):
        computed = 0

    def spy(waveforms, *arguments):
        paths.computed += len(waveforms)
        return extract(waveforms, *arguments)

    paths = Files(tmp_path / f"{digit}.wav" for digit in range(3))
    for digit, path in enumerate(paths):
        soundfile.write(path, speak(digit, tmp_path.name, 0), RATE)  # different clips, not yet cached, in every test
    monkeypatch.setattr(extraction, "extract", spy)
    return paths


def test_features_of_files_equal_those_of_their_waveforms(files):
    config = FeatureConfig(n_mels=20)
    expected = extract([soundfile.read(path, dtype="float32")[0] for path in files], config)
    for ours, theirs in zip(file_features(files, config), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)


def test_features_of_the_same_files_are_computed_once_and_in_silence(files, capfd):
    config = FeatureConfig(n_mels=20)
    first = file_features(files, config)
    assert files.computed == 3
    moved = [path.rename(path.with_name(f"moved{path.name}")) for path in files]  # cached by content, not by name
    second = file_features(moved, FeatureConfig(n_mels=20))
    assert files.computed == 3 and capfd.readouterr() == ("", "")
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_features_are_computed_again_for_a_changed_file_or_config(files):
    file_features(files, FeatureConfig(n_mels=20))
    assert files.computed == 3
    soundfile.write(files[1], speak(7, "bob", 0), RATE)
    changed = file_features(files, FeatureConfig(n_mels=20))
    assert files.computed == 6
    torch.testing.assert_close(
        changed[1], extract([soundfile.read(files[1], dtype="float32")[0]], FeatureConfig(n_mels=20))[0]
    )
    file_features(files, FeatureConfig(n_mels=21))
    assert files.computed == 9
    file_features(files[::-1], FeatureConfig(n_mels=20))  # the result is in another order
    assert files.computed == 12


def test_writing_to_cached_features_does_not_change_the_cache(files):
    config = FeatureConfig(n_mels=20)
    file_features(files, config)
    cached = file_features(files, config)
    before = cached[0].clone()
    cached[0].zero_()
    assert torch.equal(file_features(files, config)[0], before)


def test_an_unreadable_file_is_an_input_error(files, tmp_path):
    files[1].write_text("not a sound")
    for bad in (files[1], tmp_path / "missing.wav", tmp_path):
        with pytest.raises(InputError, match=str(bad)):
            file_features([files[0], bad], FeatureConfig(n_mels=20))


def test_many_files_are_computed_in_chunks(files, monkeypatch):
    config = FeatureConfig(n_mels=21)
    expected = extract([soundfile.read(path, dtype="float32")[0] for path in files], config)
    monkeypatch.setattr(extraction, "CHUNK", 2)
    monkeypatch.setattr(extraction.joblib, "cpu_count", lambda: 1)
    for ours, theirs in zip(file_features(files, config), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_damaged_cached_features_are_named_and_computed_again(files, capsys, share):
    config = FeatureConfig(n_mels=20)
    expected = [clip.clone() for clip in file_features(files, config)]
    folder = Path(MEMORY.store_backend.location)
    cached = max(folder.rglob("output.pkl"), key=lambda path: path.stat().st_mtime_ns)
    content = bytearray(cached.read_bytes())
    content[int(share * len(content))] ^= 0x40
    cached.write_bytes(content)
    found = file_features(files, config)
    assert files.computed == 6
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    err = capsys.readouterr().err
    assert "cached features are damaged" in err and len(err.splitlines()) == 1
    file_features(files, config)
    assert files.computed == 6 and capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::joblib.memory.JobLibCollisionWarning")  # of an empty note
@pytest.mark.parametrize(
    ("damaged", "told"),
    [(b"# first line: 1\n\xff", "damaged"), (b"# first line: x\n", "damaged"), (b"", ""), (None, "nothing can be")],
)
def test_a_cache_whose_notes_of_the_code_are_damaged_is_computed_again(files, damaged, told, capsys):
    cache._tell_unwritten.cache_clear()
    config = FeatureConfig(n_mels=20)
    expected = [clip.clone() for clip in file_features(files, config)]
    (note,) = Path(MEMORY.store_backend.location).rglob("extraction/_compute/func_code.py")
    note.unlink()
    note.mkdir() if damaged is None else note.write_bytes(damaged)
    joblib.memory._FUNCTION_HASHES.clear()  # as in another process: this one has read the note
    found = file_features(files, config)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    err = capsys.readouterr().err
    assert told in err and len(err.splitlines()) == bool(told)
    shutil.rmtree(note, ignore_errors=True)


def test_nothing_is_written_before_it_is_computed(tmp_path, monkeypatch, capsys):
    """On a disk that is read-only, modules with cached functions can be imported all the same."""
    (tmp_path / "file").touch()
    cache._tell_unwritten.cache_clear()
    monkeypatch.setattr(MEMORY.store_backend, "location", str(tmp_path / "file" / "cache"))
    double = cached(ignore=())(lambda number: 2 * number)
    assert double(2) == double(2) == 4
    (told,) = capsys.readouterr().err.splitlines()
    assert f"nothing can be cached ({os.strerror(errno.ENOTDIR)})" in told


@pytest.mark.parametrize("name", ["create_location", "_move_item"])
def test_features_are_computed_where_nothing_can_be_cached(files, monkeypatch, capsys, name):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cache._tell_unwritten.cache_clear()
    monkeypatch.setattr(type(MEMORY.store_backend), name, refuse)
    for config in (FeatureConfig(n_mels=20), FeatureConfig(n_mels=21)):
        expected = extract([soundfile.read(path, dtype="float32")[0] for path in files], config)
        assert all(torch.equal(a, b) for a, b in zip(file_features(files, config), expected, strict=True))
    (told,) = capsys.readouterr().err.splitlines()
    assert "nothing can be cached" in told
    assert not list(Path(MEMORY.store_backend.location).rglob(f"*-{os.getpid()}-*"))


def test_no_flipped_bit_of_a_cached_value_goes_unnoticed():
    calls = []

    @cached(ignore="call")
    def pairs(key: str, call: int) -> list[tuple[int, int, float]]:
        calls.append(call)
        return [(1, 2, 0.25), (3, 4, 0.125)]

    assert pairs("a", 0) == pairs("a", 1) == [(1, 2, 0.25), (3, 4, 0.125)] and calls == [0]
    (entry,) = Path(MEMORY.store_backend.location).rglob("*pairs*/*/output.pkl")
    content = entry.read_bytes()
    for place in range(0, len(content), 3):
        entry.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        assert pairs("a", place) == [(1, 2, 0.25), (3, 4, 0.125)], place


@pytest.mark.parametrize("error", [ValueError("no such band"), KeyError("mel"), OSError(errno.EIO, "no such device")])
def test_an_error_of_the_computation_is_not_taken_for_one_of_the_cache(capsys, error):
    calls = []

    @cached(ignore="place")
    def fail(key: str, place: str) -> int:
        calls.append(place)
        raise error

    with pytest.raises(type(error)) as raised:
        fail("a", "here")
    assert raised.value is error and calls == ["here"]
    assert capsys.readouterr().err == ""
