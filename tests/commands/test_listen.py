"""`sdr listen`: files, raw samples and a pretended microphone; digits, strings and a summary; bad input in one line."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from conftest import speak

from utils import InputError
from utils.commands.listen import _clock
from utils.commands.main import main
from utils.inference import microphone

RATE = 8000


def sound(*said: float | str) -> np.ndarray:
    """Pauses in seconds, and digits as text, in a room with a little noise."""
    parts = [speak(int(part), "eve", 1) if isinstance(part, str) else np.zeros(round(part * RATE)) for part in said]
    clip = np.concatenate(parts)
    return (clip + 0.001 * np.random.default_rng(0).normal(size=len(clip))).astype(np.float32)


SAID = sound(1, "7", 0.4, "4", 1.5, "2", 1)


class PortAudioError(Exception):
    """As sounddevice names it."""


class FakeStream:
    """A microphone that plays `SAID` in chunks, at once, and is unplugged."""

    def __init__(self, rate, blocksize, channels, dtype, callback):
        self.callback, self.blocksize, self.channels = callback, blocksize, channels
        self.sound = np.repeat(SAID, rate // RATE)

    def start(self):
        for start in range(0, len(self.sound), self.blocksize):
            self.callback(
                np.repeat(self.sound[start : start + self.blocksize, None], self.channels, 1), None, None, None
            )

    def close(self, ignore_errors):
        pass


@pytest.fixture
def fake_microphone(monkeypatch):
    """sounddevice with one microphone of 16 kHz and two channels, which is unplugged after `SAID`."""
    device = {"default_samplerate": 16000.0, "max_input_channels": 2}
    fake = SimpleNamespace(PortAudioError=PortAudioError, InputStream=FakeStream, query_devices=lambda kind: device)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(microphone, "LOST", 0.05)
    return fake


def listen(capsys, *arguments: str) -> list[dict]:
    main(["listen", *arguments, "--json"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def check(events: list[dict]) -> None:
    """The events of `SAID`."""
    assert [event["event"] for event in events] == ["word", "word", "string", "word", "string", "summary"]
    assert [event["digit"] for event in events if event["event"] == "word"] == [7, 4, 2]
    assert [event["digits"] for event in events if event["event"] == "string"] == ["74", "2"]
    assert events[0]["start"] == pytest.approx(0.95, abs=0.1)
    assert (events[-1]["digits"], events[-1]["rejected"], events[-1]["strings"]) == (3, 0, 2)
    assert events[-1]["seconds"] == pytest.approx(len(SAID) / RATE, abs=0.1)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2)])
def test_a_file_of_any_rate(trained, tmp_path, capsys, rate, channels):
    clip = np.repeat(np.repeat(SAID, rate // RATE)[:, None], channels, 1)
    soundfile.write(tmp_path / "said.wav", clip, rate)
    check(listen(capsys, str(trained.checkpoint), "--file", str(tmp_path / "said.wav")))


def test_a_terminal_shows_digits_and_strings(trained, tmp_path, capsys):
    soundfile.write(tmp_path / "said.wav", SAID, RATE)
    main(["listen", str(trained.checkpoint), "--file", str(tmp_path / "said.wav")])
    shown = capsys.readouterr()
    assert [line.split()[1] for line in shown.out.splitlines()[:4]] == ["7", "4", "74", "2"]
    assert "3 digits and 0 other sounds" in shown.out and shown.err == ""  # no level meter without a terminal


def test_raw_samples_with_half_a_sample_at_the_end(trained, capsys, monkeypatch):
    raw = (SAID * 32767).astype("<i2").tobytes() + b"\0"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
    events = listen(capsys, str(trained.checkpoint), "--rate", "8000")
    check(events)
    assert all(0.1 < event["delay"] < 0.3 + 0.2 for event in events[:2])  # 0.2 s for a busy machine


def test_standard_input_that_is_closed(trained, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SystemExit, match="2"):
        main(["listen", str(trained.checkpoint), "--rate", "8000"])


def test_a_microphone_that_is_unplugged(trained, capsys, fake_microphone):
    with pytest.raises(SystemExit) as stopped:
        main(["listen", str(trained.checkpoint), "--json"])
    shown = capsys.readouterr()
    check([json.loads(line) for line in shown.out.splitlines()])
    assert stopped.value.code == 2 and "unplugged" in shown.err and len(shown.err.splitlines()) == 1


def test_ctrl_c_ends_with_a_summary(trained, capsys, monkeypatch):
    def interrupted(rate):
        yield SAID
        raise KeyboardInterrupt

    monkeypatch.setattr(microphone, "listen", interrupted)
    check(listen(capsys, str(trained.checkpoint)))


def test_the_level_meter_is_gone_before_the_summary(trained, capsys, monkeypatch):
    def quiet(rate):
        yield sound(2)
        raise KeyboardInterrupt

    monkeypatch.setattr(microphone, "listen", quiet)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    main(["listen", str(trained.checkpoint)])
    shown = capsys.readouterr()
    assert " dB " in shown.err and shown.err.endswith("\r\033[K") and "0 digits" in shown.out


def test_a_time_has_at_most_59_seconds():
    assert [_clock(seconds) for seconds in (0.0, 59.994, 59.996, 119.999)] == [
        "0:00.00",
        "0:59.99",
        "1:00.00",
        "2:00.00",
    ]


def test_no_microphone(trained, capsys, fake_microphone):
    def nothing(kind):
        raise PortAudioError("Error querying device -1")

    fake_microphone.query_devices = nothing
    with pytest.raises(SystemExit) as stopped:
        main(["listen", str(trained.checkpoint)])
    assert stopped.value.code == 2 and "is there a microphone?" in capsys.readouterr().err


def test_a_microphone_that_does_not_start_is_closed(trained, capsys, fake_microphone):
    closed = []

    class Busy(FakeStream):
        def start(self):
            raise PortAudioError("Device unavailable")

        def close(self, ignore_errors):
            closed.append(self)

    fake_microphone.InputStream = Busy
    with pytest.raises(SystemExit) as stopped:
        main(["listen", str(trained.checkpoint)])
    assert stopped.value.code == 2 and "another program" in capsys.readouterr().err and len(closed) == 1


@pytest.mark.parametrize("level", [0.0, 0.05], ids=["silence", "noise"])
def test_nothing_is_recognised_where_nobody_speaks(trained, tmp_path, capsys, level):
    soundfile.write(tmp_path / "room.wav", level * np.random.default_rng(0).normal(size=60 * RATE), RATE)
    events = listen(capsys, str(trained.checkpoint), "--file", str(tmp_path / "room.wav"))
    assert events == [{"event": "summary", "seconds": 60.0, "digits": 0, "rejected": 0, "strings": 0, "delay": None}]


def test_files_that_cannot_be_read(trained, tmp_path, capsys):
    for name in ("text.wav", "text.raw"):  # libsndfile asks for the rate of what is called raw
        (tmp_path / name).write_text("not audio")
    cases = [("missing.wav", "no such file"), ("", "this is a folder")]
    cases += [("text.wav", "not an audio file"), ("text.raw", "not an audio file")]
    for name, why in cases:
        with pytest.raises(SystemExit):
            main(["listen", str(trained.checkpoint), "--file", str(tmp_path / name)])
        error = capsys.readouterr().err
        assert why in error and len(error.splitlines()) == 1


def test_a_microphone_without_sounddevice(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(InputError, match="pip install sounddevice"):
        next(microphone.listen(RATE))
