"""`sdr predict`: files, folders and patterns, several digits in a recording, the microphone."""

import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import librosa
import numpy as np
import pytest
import soundfile
from conftest import RATE, speak, write_wav

from utils.experiments import checkpoint_folder
from utils.inference import recogniser


def in_hifi(path: Path) -> Path:
    """Stereo at 44.1 kHz, as phones and audio editors save it."""
    clip = speak(3, "eve", 0)
    longer = np.interp(np.arange(0, len(clip), RATE / 44100), np.arange(len(clip)), clip)
    return write_wav(path, np.stack([longer, longer], axis=1), 44100)


GOOD_CLIPS = {
    "stereo 44.1 kHz": in_hifi,
    "24 bit": lambda path: write_wav(path, speak(3, "eve", 0), subtype="PCM_24"),
    "MP3 named .wav": lambda path: write_wav(path, speak(3, "eve", 0), format="MP3"),
    "FLAC named .wav": lambda path: write_wav(path, speak(3, "eve", 0), format="FLAC"),
    "8 bit": lambda path: write_wav(path, speak(3, "eve", 0), subtype="PCM_U8"),
    "float": lambda path: write_wav(path, speak(3, "eve", 0), subtype="FLOAT"),
}


@pytest.mark.parametrize("make", GOOD_CLIPS.values(), ids=GOOD_CLIPS)
def test_any_audio_format(sdr, trained, tmp_path, make):
    clip = make(tmp_path / "clip.wav")
    done = sdr("predict", trained.checkpoint, clip, "--json")
    assert (done.status, done.err) == (0, "")
    (answer,) = json.loads(done.out)
    assert answer["digit"] == 3 and answer["probability"] > 0.5


def test_unusual_sample_rates(sdr, trained, tmp_path):
    """An exact resampling filter from 44,101 or 767,999 Hz would need gigabytes."""
    for rate in (44_101, 767_999):
        seconds = np.arange(0, 0.25, 1 / rate)
        clip = np.interp(seconds, np.arange(2000) / RATE, speak(3, "eve", 0)[:2000].astype(float))
        path = write_wav(tmp_path / "clip.wav", clip, rate)
        assert json.loads(sdr("predict", trained.checkpoint, path, "--json").out)[0]["digit"] == 3


def test_files_are_answered_in_order(sdr, trained, corpus):
    files = [corpus.folder / f"{digit}_eve_1.wav" for digit in (7, 0, 4)] + [corpus.folder / "7_finn_0.wav"]
    done = sdr("predict", trained.checkpoint, *files, "--json")
    assert done.status == 0
    answers = json.loads(done.out)
    assert all(set(answer) == {"file", "digit", "probability"} for answer in answers)
    assert [answer["file"] for answer in answers] == [str(file) for file in files]
    assert [answer["digit"] for answer in answers] == [7, 0, 4, 7]
    assert all(0.1 <= answer["probability"] <= 1 for answer in answers)

    plain = sdr("predict", trained.checkpoint, *files)
    assert [line[0] for line in plain.out.splitlines()] == ["7", "0", "4", "7"]
    assert all(str(file) in line for file, line in zip(files, plain.out.splitlines(), strict=True))


def test_a_file_named_twice_is_answered_twice(sdr, trained, corpus):
    clip = corpus.folder / "7_eve_1.wav"
    assert len(json.loads(sdr("predict", trained.checkpoint, clip, clip, "--json").out)) == 2


def test_folders_and_patterns(sdr, trained, corpus, tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("7_eve_0.wav", "inner/4_eve_0.wav", "8_eve_0.wav"):
        shutil.copy(corpus.folder / Path(name).name, tmp_path / name)
    (tmp_path / "notes.txt").write_text("no audio")
    (tmp_path / ".venv").mkdir()
    shutil.copy(corpus.folder / "9_eve_0.wav", tmp_path / ".venv")  # hidden: not the user's
    for names in ([tmp_path], [tmp_path / "?_eve_0.wav", tmp_path / "inner"]):
        answers = json.loads(sdr("predict", trained.checkpoint, *names, "--json").out)
        predicted = {Path(answer["file"]).name: answer["digit"] for answer in answers}
        assert predicted == {"7_eve_0.wav": 7, "8_eve_0.wav": 8, "4_eve_0.wav": 4}


def test_top_lists_the_most_probable_digits(sdr, trained, corpus):
    clip = corpus.folder / "7_eve_1.wav"
    (answer,) = json.loads(sdr("predict", trained.checkpoint, clip, "--top", "3", "--json").out)
    assert answer["top"][0]["digit"] == answer["digit"] == 7
    probabilities = [guess["probability"] for guess in answer["top"]]
    assert len(probabilities) == 3 and probabilities[0] == answer["probability"]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sdr("predict", trained.checkpoint, clip, "--top", "3").out.count("%") == 3


def test_several_digits_in_one_file(sdr, trained, corpus, tmp_path):
    pause, parts = np.zeros(RATE // 2), []
    for digit in (4, 2, 7):
        parts += [pause, soundfile.read(corpus.folder / f"{digit}_eve_1.wav")[0]]
    clip = write_wav(tmp_path / "427.wav", np.concatenate([*parts, pause]))
    (answer,) = json.loads(sdr("predict", trained.checkpoint, clip, "--several", "--json").out)
    assert [word["digit"] for word in answer["words"]] == [4, 2, 7]
    assert answer["words"][0]["start"] == pytest.approx(0.5, abs=0.1)
    assert sdr("predict", trained.checkpoint, clip, "--several").out.startswith("4 2 7")


def test_several_digits_are_by_default_recognised_by_the_model_of_strings(sdr, trained, corpus, monkeypatch):
    monkeypatch.setattr(checkpoint_folder, "STRINGS", trained.checkpoint)
    monkeypatch.setattr(checkpoint_folder, "DEFAULT", trained.checkpoint.parent / "none")
    (answer,) = json.loads(sdr("predict", corpus.folder / "7_eve_1.wav", "--several", "--json").out)
    assert [word["digit"] for word in answer["words"]] == [7]


# What it refuses


def test_missing_files_and_folders_without_audio_are_refused(sdr, trained, tmp_path):
    sdr("predict", tmp_path / "none.m4a").refused("none.m4a", "there is no such file")
    sdr("predict", trained.checkpoint, tmp_path / "none.wav").refused("none.wav", "there is no such file")
    sdr("predict", trained.checkpoint, tmp_path).refused(str(tmp_path), "nor a folder with audio files")
    sdr("predict", trained.checkpoint, tmp_path / "*.wav").refused("*.wav", "no file matches")


def test_a_missing_checkpoint_is_refused(sdr, corpus, tmp_path):
    sdr("predict", tmp_path / "none", corpus.folder / "1_eve_0.wav").refused("none", "not a checkpoint")


def test_folders_that_are_nested_too_deeply_are_told_in_one_line(sdr, trained, deep):
    sdr("predict", trained.checkpoint, deep).refused("deep: ")
    sdr("predict", trained.checkpoint, deep / "**" / "*.wav").refused("*.wav: ")


def test_patterns_that_match_only_folders_are_refused(sdr, trained, tmp_path):
    (tmp_path / "inner.wav").mkdir()
    sdr("predict", trained.checkpoint, tmp_path / "in*", "--json").refused("no file matches")
    sdr("predict", trained.checkpoint, tmp_path, "--json").refused("nor a folder with audio files")
    sdr("predict", trained.checkpoint, tmp_path / "a**b.wav", "--json").refused("no file matches")


# The microphone


class PortAudioError(Exception):
    pass


def microphone(waveform: np.ndarray, rate: int) -> SimpleNamespace:
    """A stand-in for the package sounddevice: a microphone with a single sample rate, which records `waveform`."""

    def rec(frames, samplerate, channels, dtype, blocking):
        if samplerate != rate:
            raise PortAudioError("Invalid sample rate")
        recording = np.zeros((frames, channels), dtype)
        recording[: len(waveform)] = waveform[:frames, None]
        return recording

    devices = {"default_samplerate": float(rate)}
    return SimpleNamespace(rec=rec, query_devices=lambda kind: devices, PortAudioError=PortAudioError)


def test_a_recording_from_the_microphone(sdr, trained, corpus, monkeypatch):
    waveform = soundfile.read(corpus.folder / "7_eve_1.wav", dtype="float32")[0]
    fake = microphone(librosa.resample(waveform, orig_sr=RATE, target_sr=44100), 44100)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    assert json.loads(sdr("predict", trained.checkpoint, "--record", "1", "--json").out)[0]["digit"] == 7

    def no_microphone(*_, **__):
        raise PortAudioError("no default input device")

    fake.query_devices = no_microphone
    sdr("predict", trained.checkpoint, "--record", "1").refused("is there a microphone?")
    monkeypatch.setitem(sys.modules, "sounddevice", microphone(np.zeros(RATE), RATE))
    sdr("predict", trained.checkpoint, "--record", "1").refused("is it muted?")
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    sdr("predict", trained.checkpoint, "--record", "1").refused("pip install sounddevice")


def test_several_digits_from_the_microphone(sdr, trained, corpus, monkeypatch):
    pause, clip = np.zeros(RATE // 2), soundfile.read(corpus.folder / "7_eve_1.wav")[0]
    spoken = np.concatenate([pause, clip, pause, clip, pause]).astype(np.float32)
    monkeypatch.setitem(sys.modules, "sounddevice", microphone(spoken, RATE))
    assert sdr("predict", trained.checkpoint, "--record", "3", "--several").out.startswith("7 7")
    (answer,) = json.loads(sdr("predict", trained.checkpoint, "--record", "3", "--several", "--json").out)
    assert [word["digit"] for word in answer["words"]] == [7, 7]


def test_the_length_of_a_recording_is_limited(sdr, trained):
    most = int(recogniser.MAX_SECONDS)
    sdr("predict", trained.checkpoint, "--record", most + 1).refused("--record", f"from 1 to {most}")


def test_a_bad_file_never_costs_the_answers_to_the_others(sdr, trained, corpus, tmp_path):
    good = corpus.folder / "0_ada_0.wav"
    sound, rate = soundfile.read(good)
    soundfile.write(tmp_path / "gsm.wav", sound, rate, subtype="GSM610")
    bad = [tmp_path / name for name in ("text.wav", "empty.wav", "rate.wav", "x" * 300, "none.wav")]
    bad[0].write_text("seven" * 99)
    bad[1].touch()
    content = bytearray(good.read_bytes())
    content[24:28] = (1_409_294_144).to_bytes(4, "little")
    bad[2].write_bytes(content)
    done = sdr("predict", trained.checkpoint, *bad[:3], tmp_path / "gsm.wav", *bad[3:], good, "--json")
    assert done.status == 2
    assert [Path(answer["file"]) for answer in json.loads(done.out)] == [tmp_path / "gsm.wav", good]
    for path, line in zip(bad, done.err.splitlines(), strict=True):
        assert line.startswith(f"sdr: {path}: ")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_of_files_do_not_control_the_terminal(sdr, trained, corpus, tmp_path):
    clip = (corpus.folder / "1_eve_0.wav").read_bytes()
    for name in (b"a\nb.wav", b"\x1b[31m.wav", b"\xff.wav"):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(clip)
        done = sdr("predict", trained.checkpoint, path)
        assert done.status == 0 and len(done.out.splitlines()) == 1 and done.out[:-1].isprintable()
        assert len(json.loads(sdr("predict", trained.checkpoint, path, "--json").out)) == 1
