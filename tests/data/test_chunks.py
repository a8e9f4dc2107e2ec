"""Sound in chunks: resampled as it would be in one piece."""

import numpy as np
import pytest

from utils.data.audio import convert_rate
from utils.data.chunks import Resampler

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
