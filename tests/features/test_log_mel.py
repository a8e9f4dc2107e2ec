"""The front end agrees with librosa, ignores the padding of a batch, and trims quiet ends."""

import librosa
import numpy as np
import pytest
import torch
from conftest import RATE, speak, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.applications.benchmark import librosa_features
from utils.data.audio import read_audio
from utils.experiments.config import load_experiment
from utils.features import log_mel
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig, LogMel, pad
from utils.paths import PROJECT, speech_data


def sounds(rate: int = RATE) -> list[np.ndarray]:
    """Clips of several lengths and kinds: noise, a fading tone, a click, a tone between quiet ends."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.1, round(0.41 * rate))
    fading = tone(700, 0.25, rate) * np.linspace(1, 1e-4, round(0.25 * rate))
    click = np.zeros(round(0.1 * rate))
    click[len(click) // 3] = 0.9
    quiet_ends = np.concatenate([np.zeros(rate // 10), tone(300, 0.2, rate), 1e-3 * random.normal(size=rate // 10)])
    return [clip.astype(np.float32) for clip in (noise, fading, click, quiet_ends)]


def to_db(config: FeatureConfig, clip: torch.Tensor) -> np.ndarray:
    return clip.numpy() * config.std_db + config.mean_db


@settings(max_examples=25)
@given(
    rate=st.sampled_from([8000, 16000, 22050]),
    n_fft=st.sampled_from([256, 400, 512]),
    window=st.sampled_from([1.0, 0.78, 0.5]),
    hop=st.sampled_from([1.0, 0.5, 0.4]),
    n_mels=st.integers(8, 64),
    f_min=st.sampled_from([0.0, 60.0, 150.0]),
    f_max=st.sampled_from([1.0, 0.8]),
    level=st.sampled_from(["clip_max", "none"]),
    range_db=st.sampled_from([40.0, 80.0]),
)
def test_features_equal_those_of_librosa_within_a_hundredth_of_a_decibel(
    rate, n_fft, window, hop, n_mels, f_min, f_max, level, range_db
):
    win_length = int(window * n_fft)
    config = FeatureConfig(
        sample_rate=rate,
        n_fft=n_fft,
        win_length=win_length,
        hop_length=int(hop * win_length),
        n_mels=n_mels,
        f_min=f_min,
        f_max=f_max * rate / 2,
        level=level,
        range_db=range_db,
        trim_db=None,
    )
    clips = sounds(rate)
    for clip, ours in zip(clips, extract(clips, config), strict=True):
        mel = librosa.feature.melspectrogram(
            y=clip,
            sr=rate,
            n_fft=n_fft,
            hop_length=config.hop_length,
            win_length=win_length,
            n_mels=n_mels,
            fmin=f_min,
            fmax=config.f_max,
            pad_mode="constant",
        )
        theirs = librosa.power_to_db(mel, ref=np.max if level == "clip_max" else 1.0, amin=1e-20, top_db=None)
        assert ours.shape == theirs.T.shape
        np.testing.assert_allclose(to_db(config, ours), np.maximum(theirs.T, -range_db), atol=0.01)


@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the course's recordings are not available")
def test_features_of_recordings_equal_those_of_librosa():
    """With trimming, by the code that the benchmark compares with."""
    config = FeatureConfig(n_mels=20)
    names = [f"{digit}_{speaker}_{digit}.wav" for digit in range(10) for speaker in ("george", "lucas")]
    clips = [read_audio(speech_data() / name, config.sample_rate) for name in names]
    for clip, ours in zip(clips, extract(clips, config), strict=True):
        theirs = librosa_features(clip, config)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=0.01 / config.std_db)


RECORDINGS = [
    f"{folder}/{name}"
    for folder, names in (
        ("audiomnist/02", ["0_02_0.wav", "7_02_3.wav"]),  # 48 kHz, very quiet
        ("arabic/dataset/nine", ["00000001_NO_01.wav"]),  # 16 kHz, 1.0 s
        (".", ["6_lucas_0.wav", "0_george_0.wav"]),  # 8 kHz
    )
    for name in names
]


@pytest.mark.parametrize("name", RECORDINGS)
def test_features_of_the_published_audiomnist_recipe(name):
    """The features of configs/audiomnist_cnn.yaml equal those of its model card, computed with librosa."""
    if not (speech_data() / name).exists():
        pytest.skip(f"{name} is not available")
    config = load_experiment(PROJECT / "configs" / "audiomnist_cnn.yaml").features
    clip = read_audio(speech_data() / name, 16_000)
    (ours,) = extract([clip], config)
    assert ours.shape == (101, 64)
    missing = 16_000 - len(clip)
    second = clip[-missing // 2 :][:16_000] if missing < 0 else np.pad(clip, (missing // 2, missing - missing // 2))
    mel = librosa.feature.melspectrogram(
        y=second, sr=16_000, n_fft=512, win_length=400, hop_length=160, n_mels=64, fmin=20, fmax=8000, power=2.0
    )
    theirs = (librosa.power_to_db(mel, ref=np.max, top_db=80) + 40) / 20
    np.testing.assert_allclose(ours, theirs.T, atol=0.01 / 20)


@pytest.mark.parametrize(
    ("samples", "kept"), [(100, (0, 100)), (7, (0, 7)), (160, (0, 160)), (161, (0, 160)), (407, (123, 283))]
)
def test_a_fixed_length_pads_or_crops_both_ends_equally(samples, kept):
    clip = torch.arange(1.0, samples + 1)
    centred, _ = log_mel.centre(*pad([clip, torch.ones(500)]), 160)
    left = (160 - min(samples, 160)) // 2
    expected = torch.zeros(160)
    expected[left : left + kept[1] - kept[0]] = clip[kept[0] : kept[1]]
    torch.testing.assert_close(centred[0], expected)


@pytest.mark.parametrize("trim_db", [None, 30.0])
def test_the_features_of_a_clip_do_not_depend_on_its_batch(trim_db):
    """One of the other clips is much longer and louder."""
    config = FeatureConfig(n_mels=20, trim_db=trim_db)
    front_end = LogMel(config)
    clips = [torch.from_numpy(clip) for clip in sounds()] + [torch.from_numpy(10 * tone(500, 4))]
    batch, frames = front_end(*pad(clips))
    for clip, together, length in zip(clips, batch, frames.tolist(), strict=True):
        alone, (length_alone,) = front_end(*pad([clip]))
        assert length == length_alone == alone.shape[1]
        torch.testing.assert_close(together[:length], alone[0], atol=1e-4, rtol=0)
        assert (together[length:] == torch.tensor(config.floor)).all()


def test_the_loudness_of_a_clip_matters_only_without_clip_max():
    clip = speak(3, "ada", 0)
    for level, louder_db in (("clip_max", 0.0), ("none", 20.0)):
        config = FeatureConfig(n_mels=20, level=level, range_db=200.0, trim_db=None)
        soft, loud = extract([0.1 * clip, clip], config)
        np.testing.assert_allclose(to_db(config, loud) - to_db(config, soft), louder_db, atol=0.01)
    config = FeatureConfig(n_mels=20)
    (features,) = extract([clip], config)
    assert to_db(config, features).max() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("trim_db", [15.0, 30.0])
def test_trimming_drops_the_quiet_ends_only(trim_db):
    """Speech between two stretches of quiet noise; the pause within the speech is kept."""
    random = np.random.default_rng(2)
    speech = [tone(600, 0.15), np.zeros(1200), 0.3 * tone(900, 0.1)]
    ends = [random.normal(0, 1e-3, 1600), *speech, random.normal(0, 1e-3, 900)]
    clip = np.concatenate(ends).astype(np.float32)
    whole = FeatureConfig(n_mels=20, trim_db=None, level="none", range_db=190.0)
    (all_frames,) = extract([clip], whole)
    energy_db = 10 * np.log10((10 ** (to_db(whole, all_frames) / 10)).sum(axis=1))
    loud = np.flatnonzero(energy_db > energy_db.max() - trim_db)
    first, last = loud[0], loud[-1]
    assert first > 15 and len(all_frames) - last > 8 and len(loud) < last - first  # there is something to trim

    (trimmed,) = extract([clip], FeatureConfig(n_mels=20, trim_db=trim_db, level="none", range_db=190.0))
    torch.testing.assert_close(trimmed, all_frames[first : last + 1], atol=1e-4, rtol=0)


def test_a_silent_waveform_is_not_trimmed():
    """`read_audio` rejects silent files, but a microphone may still record silence."""
    config = FeatureConfig(n_mels=20)
    silent, spoken = extract([np.zeros(1600, np.float32), speak(1, "ada", 0)], config)
    assert silent.shape == (1 + 1600 // config.hop_length, 20) and silent.isfinite().all()
    assert len(spoken) > 10


@pytest.mark.parametrize("samples", [1, 79, 80, 81])
def test_a_very_short_clip_has_features(samples):
    (clip,) = extract([tone(500, 0.1)[-samples:]], FeatureConfig(n_mels=20, hop_length=80, trim_db=None))
    assert clip.shape == (1 + samples // 80, 20) and clip.isfinite().all()


def test_the_floor_is_the_lowest_feature():
    config = FeatureConfig(n_mels=20, range_db=50.0, mean_db=-30.0, std_db=10.0)
    assert config.floor == -2.0
    (clip,) = extract([sounds()[3]], config)
    assert clip.min() == -2.0


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        ({"level": "loud"}, "clip_max"),
        ({"f_max": 5000.0}, "f_max"),
        ({"f_min": 4000.0}, "f_min"),
        ({"hop_length": 0}, "hop_length"),
        ({"win_length": 300}, "win_length"),
        ({"n_fft": 257}, "n_fft even"),
        ({"range_db": 0.0}, "range_db"),
        ({"trim_db": -3.0}, "trim_db"),
        ({"n_mels": 0}, "n_mels"),
        ({"seconds": 1.0}, "trim_db: null"),
    ],
)
def test_an_invalid_config_is_rejected(invalid, message):
    with pytest.raises(ValueError, match=message):
        FeatureConfig(**({"sample_rate": 8000, "n_fft": 256, "win_length": 200, "hop_length": 80} | invalid))
