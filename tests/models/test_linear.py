"""The linear model: its views equal naive implementations, and its predictions those of scikit-learn."""

import numpy as np
import pytest
import torch
from conftest import RATE, speak
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import model_baseline
from model_baseline import Linear, LinearConfig
from model_baseline.linear import pool, truncate
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig, pad
from utils.training.prediction import predict

MELS = 20
FLOOR = -1.5


def random_clips(*frames: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, MELS, generator=generator) for n in frames]


def naive_pool(clip: np.ndarray, size: int) -> np.ndarray:
    """Repeat every frame `size` times; then every segment is a whole number of frames."""
    repeated = np.repeat(clip, size, axis=0)
    return np.stack([segment.mean(axis=0) for segment in np.split(repeated, size)])


def naive_truncate(clip: np.ndarray, size: int) -> np.ndarray:
    rows = [clip[i] if i < len(clip) else np.full(clip.shape[1], FLOOR) for i in range(size)]
    return np.stack(rows)


@given(frames=st.lists(st.integers(1, 40), min_size=1, max_size=4), size=st.integers(1, 30))
@settings(max_examples=50)
def test_views_equal_naive_implementations(frames, size):
    batch = random_clips(*frames)
    padded = pad(batch, 7.0)  # the padding must not matter
    pooled, truncated = pool(*padded, size), truncate(*padded, size, FLOOR)
    assert pooled.shape == truncated.shape == (len(frames), size, MELS)
    for i, clip in enumerate(batch):
        np.testing.assert_allclose(pooled[i], naive_pool(clip.numpy(), size), atol=1e-4)
        np.testing.assert_array_equal(truncated[i], naive_truncate(clip.numpy(), size))


@pytest.fixture(scope="module")
def examples():
    """Features, labels and floor of three repetitions of each digit by two speakers."""
    spoken = [(digit, speaker, n) for digit in range(10) for speaker in ("ada", "bob") for n in range(3)]
    config = FeatureConfig(sample_rate=RATE, n_mels=MELS)
    labels = torch.tensor([digit for digit, *_ in spoken])
    return extract([speak(*clip) for clip in spoken], config), labels, config.floor


@pytest.mark.parametrize("view", ["pool", "truncate"])
@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_the_module_predicts_the_same_as_the_scikit_learn_pipeline(examples, view, loss):
    features, labels, floor = examples
    # regularised so strongly that some training clips are misrecognised
    config = LinearConfig(n_mels=MELS, view=view, size=7, loss=loss, strength=1e-5)
    model = model_baseline.fit(config, features, labels, floor)
    naive = naive_pool if view == "pool" else lambda clip, size: truncate(*pad([torch.tensor(clip)]), size, floor)[0]
    views = np.stack([np.asarray(naive(clip.numpy(), 7)).ravel() for clip in features])
    classifier = LogisticRegression(C=1e-5) if loss == "logistic" else LinearSVC(C=1e-5, random_state=0)
    pipeline = make_pipeline(StandardScaler(), classifier).fit(views, labels.numpy())

    with torch.no_grad():
        logits = model(*pad(features, floor))
    np.testing.assert_allclose(logits, pipeline.decision_function(views), atol=2e-3)
    predicted = predict(model, features, floor).argmax(1).numpy()
    np.testing.assert_array_equal(predicted, pipeline.predict(views))
    if loss == "logistic":
        np.testing.assert_allclose(predict(model, features, floor), pipeline.predict_proba(views), atol=1e-3)


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_the_same_clips_give_the_same_weights(examples, loss):
    models = [model_baseline.fit(LinearConfig(n_mels=MELS, loss=loss), *examples) for _ in range(2)]
    assert torch.equal(models[0].head.weight, models[1].head.weight)


def test_the_floor_is_saved_with_the_weights(examples):
    features, labels, floor = examples
    config = LinearConfig(n_mels=MELS, view="truncate", size=60, strength=1e-5)
    model = model_baseline.fit(config, features, labels, floor - 5)
    loaded = Linear(config)
    loaded.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(loaded(*pad(features, 0.0)), model(*pad(features, 0.0)))


@pytest.mark.parametrize("invalid", [{"view": "crop"}, {"loss": "squared"}, {"size": 0}, {"strength": 0.0}])
def test_invalid_settings_of_the_linear_model_are_rejected(invalid):
    with pytest.raises(ValueError):
        LinearConfig(n_mels=MELS, **invalid)
