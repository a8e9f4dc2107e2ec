"""Sound in chunks: resampled as it would be in one piece."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from conftest import speak, write_wav

from utils import InputError
from utils.data.audio import convert_rate, read_audio
from utils.data.chunks import Resampler, read_chunks, read_pcm

RATES = [(44100, 8000), (48000, 8000), (8000, 16000), (22050, 8000), (8000, 8000)]


@pytest.mark.parametrize(("rate", "target"), RATES)
@pytest.mark.parametrize("size", [100, 2205, 50_000])
def test_chunks_are_resampled_like_the_whole(rate, target, size):
    sound = np.random.default_rng(0).normal(0, 0.1, rate).astype(np.float32)
    resampler = Resampler(rate, target)
    parts = [resampler.push(sound[start : start + size]) for start in range(0, len(sound), size)]
    found, whole = np.concatenate([*parts, resampler.flush()]), convert_rate(sound, rate, target)
    assert len(whole) <= len(found) <= len(whole) + 0.03 * target  # silence may follow
    np.testing.assert_allclose(found[: len(whole)], whole, atol=1e-5)
    assert len(resampler.kept) <= 0.1 * rate


@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "GSM610"), ("aiff", "DWVW_16"), ("flac", "PCM_16")])
def test_codecs_in_which_one_cannot_seek_are_read_in_chunks(tmp_path, suffix, subtype):
    path = write_wav(tmp_path / f"word.{suffix}", speak(3, "eve", 0), subtype=subtype)
    chunks = np.concatenate(list(read_chunks(path, 8000)))
    np.testing.assert_array_equal(chunks, read_audio(path, 8000))


def test_chunks_of_channels_in_antiphase_fit_together(tmp_path):
    """Whichever channel is louder in a chunk, the sound does not change its sign where the next one begins."""
    sound = 0.5 * np.sin(np.arange(3 * 8000) / 5)
    louder = np.repeat([1.0, 0.5, 1.0], 8000)
    write_wav(tmp_path / "balanced.wav", np.stack([sound * louder, -sound * (1.5 - louder)], axis=1), 8000)
    chunks = np.concatenate(list(read_chunks(tmp_path / "balanced.wav", 8000)))
    np.testing.assert_allclose(chunks, 0.75 * sound, atol=1e-4)


@pytest.mark.parametrize("kind", ["WAV", "MP3"])
def test_a_truncated_file_is_refused_at_its_end_at_the_latest(tmp_path, kind):
    path = tmp_path / "word"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000), 8000, format=kind)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(InputError, match="truncated"):
        list(read_chunks(path, 8000))


def test_a_damaged_mp3_is_refused_in_one_line(tmp_path, capfd):
    path = tmp_path / "noise.mp3"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000), 8000, format="MP3")
    content = bytearray(path.read_bytes())
    frames = [at for at in range(len(content) - 1) if content[at : at + 2] == content[:2]]
    for frame in frames[5:9]:
        content[frame + 4 : frame + 14] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(InputError, match="several of its MP3 frames cannot be decoded"):
        list(read_chunks(path, 8000))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("rate", [1, 999, 768_001, 10**14])
def test_raw_samples_at_an_absurd_rate_are_refused(rate):
    with pytest.raises(InputError, match=f"a sample rate of {rate:,} Hz"):
        next(read_pcm(io.BytesIO(bytes(100)), rate, 8000))


def test_raw_samples_from_a_pipe_that_does_not_wait():
    """Whatever has come is read, half samples among it, as when the pipe waits."""
    raw = (32767 * speak(3, "eve", 0)).astype("<i2").tobytes()
    given = [raw[:801], None, raw[801:802], None, raw[802:], b""]
    chunks = list(read_pcm(SimpleNamespace(read=lambda size: given.pop(0)), 8000, 8000))
    np.testing.assert_array_equal(np.concatenate(chunks), np.frombuffer(raw, "<i2") / 32768)


@pytest.mark.parametrize("raw", [b"", b"x"])
def test_raw_samples_that_are_none_are_refused(raw):
    with pytest.raises(InputError, match="standard input is empty"):
        list(read_pcm(io.BytesIO(raw), 8000, 8000))
