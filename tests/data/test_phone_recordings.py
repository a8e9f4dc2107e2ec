"""Recordings of phones and the sound of videos are read through FFmpeg, and what is wrong with them is told."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import RATE, level_of, pitch_of, speak, tone
from made_recordings import FFMPEG, KINDS, VIDEO, encode

from utils import InputError
from utils.data import ffmpeg
from utils.data.audio import read_audio
from utils.data.audio_names import find_audio
from utils.data.chunks import read_chunks

needs_ffmpeg = pytest.mark.skipif(not FFMPEG, reason="FFmpeg is not installed")


@needs_ffmpeg
@pytest.mark.parametrize("kind", KINDS)
def test_recordings_of_every_kind_are_read(tmp_path, kind):
    path = encode(tmp_path / kind, tone(440, 1.0), kind)
    waveform = read_audio(path.rename(path.with_name("clip")), RATE)  # the content decides, not the name
    assert len(waveform) == pytest.approx(RATE, abs=0.2 * RATE)  # some codecs fill their last block, or lose it
    assert pitch_of(waveform) == pytest.approx(440, abs=2)
    assert level_of(waveform) == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=1.5)
    np.testing.assert_allclose(
        np.concatenate(list(read_chunks(tmp_path / "clip", RATE)))[: len(waveform)], waveform, atol=1e-4
    )


@needs_ffmpeg
@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_upload_never_counts_as_complete(tmp_path, kind, share):
    path = encode(tmp_path / kind, tone(440, 1.0), kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="truncated") as caught:
        read_audio(path, RATE)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@needs_ffmpeg
def test_unusable_recordings_are_refused(tmp_path):
    with pytest.raises(InputError, match="more than 10 s long; a clip of one digit"):
        read_audio(encode(tmp_path / "long.m4a", tone(440, 12), "clip.m4a"), RATE)
    with pytest.raises(InputError, match="only silence"):
        read_audio(encode(tmp_path / "silent.m4a", np.zeros(RATE), "lossless.m4a"), RATE)
    silent = tmp_path / "video.mp4"
    subprocess.run([FFMPEG, "-v", "error", *VIDEO, "-c:v", "mpeg4", silent], check=True, stdin=subprocess.DEVNULL)
    with pytest.raises(InputError, match="contains no sound"):
        read_audio(silent, RATE)


@needs_ffmpeg
def test_the_commands_read_recordings_of_phones(sdr, trained, tmp_path):
    good = encode(tmp_path / "-7:%d.m4a", speak(7, "eve", 1), "lossless.m4a")  # no option, no protocol, no pattern
    bad = tmp_path / "cut.webm"
    bad.write_bytes(encode(tmp_path / "whole.webm", speak(7, "eve", 1), "clip.webm").read_bytes()[:-300])
    (tmp_path / "whole.webm").unlink()
    assert find_audio([tmp_path]) == [good, bad]
    done = sdr("predict", trained.checkpoint, tmp_path, "--json")
    assert done.status == 2 and done.err.startswith(f"sdr: {bad}: truncated or damaged (FFmpeg: ")
    assert [answer["digit"] for answer in json.loads(done.out)] == [7]
    assert sdr("predict", trained.checkpoint, "--several", good).out.startswith("7 ")
    assert "1 digit and" in sdr("listen", trained.checkpoint, "--file", good).out
    table = tmp_path / "clips.tsv"
    row = f"one\teve\tTEST\t7\t{good.name}"
    table.write_text(f"identifier\tspeaker\tsplit\tlabel\tfile\n{row}\n")
    assert "accuracy 100.0%" in sdr("evaluate", trained.checkpoint, "--metadata", table).out
    assert "cannot be read" not in sdr("data", "check", table).out


def test_without_ffmpeg_one_line_says_how_to_get_it(sdr, trained, corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    path = tmp_path / "clip.m4a"
    path.write_bytes(b"\0\0\0\x1cftypM4A " + bytes(99))
    done = sdr("predict", trained.checkpoint, path, corpus.folder / "7_eve_1.wav")
    assert (done.status, done.out[0]) == (2, "7")
    wanted = "a recording of this kind needs FFmpeg: install it, or `pip install imageio-ffmpeg`"
    assert done.err == f"sdr: {path}: {wanted}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the program here is a shell script")
def test_a_recording_that_keeps_ffmpeg_busy_is_refused(tmp_path, monkeypatch):
    slow = tmp_path / "ffmpeg"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "program", lambda: str(slow))
    monkeypatch.setattr(ffmpeg, "TIME_LIMIT", 0.2)
    (tmp_path / "clip.amr").write_bytes(b"#!AMR\n" + bytes(99))
    with pytest.raises(InputError, match="FFmpeg took more than"):
        read_audio(tmp_path / "clip.amr", RATE)


def test_only_the_first_bytes_of_recordings_reach_ffmpeg():
    """A playlist, for example, could make FFmpeg open other files."""
    for start in (b"#EXTM3U\n", b"ffconcat version 1.0", b"seven", b"", b"RIFF\0\0\0\0AVI LIST", b"\x89PNG"):
        assert ffmpeg.reader(start) is None
