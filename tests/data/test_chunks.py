"""Sound in chunks: resampled as it would be in one piece."""

import io

import numpy as np
import pytest
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


@pytest.mark.parametrize("rate", [1, 999, 768_001, 10**14])
def test_raw_samples_at_an_absurd_rate_are_refused(rate):
    with pytest.raises(InputError, match=f"a sample rate of {rate:,} Hz"):
        next(read_pcm(io.BytesIO(bytes(100)), rate, 8000))
