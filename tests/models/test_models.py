"""What every model keeps to (see DESIGN): shapes, no influence of padding, gradients; and the linear model's views."""

import numpy as np
import pytest
import torch
from conftest import RATE, speak
from hypothesis import given, settings
from hypothesis import strategies as st

import model_baseline
from model_baseline import Linear, LinearConfig
from model_baseline.linear import make_classifier, pool, truncate
from model_neural import MODELS
from model_neural.vit import PATCH, STEP, ViT, ViTConfig
from utils.experiments.config import ALL_MODELS
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig, pad
from utils.training.prediction import predict

MELS = 20
FLOOR = -1.5  # not zero, so that padding that is looked at shows


def clips(*frames: int) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(n, MELS, generator=random) for n in frames]


@pytest.fixture(params=ALL_MODELS)
def model(request):
    """Each model with all its defaults, in evaluation mode, its statistics and weights not those of the start."""
    torch.manual_seed(0)
    kind, config = ALL_MODELS[request.param]
    model = kind(config(n_mels=MELS))
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(*pad(clips(30, 40, 50, 35), FLOOR))  # moves the statistics of batch normalisation
        for weight in model.parameters():
            weight += 0.02 * torch.randn_like(weight)  # moves biases off zero
    return model.eval()


@torch.no_grad()
def test_logits_and_embeddings_have_a_row_a_clip(model):
    batch = pad(clips(30, 12, 44), FLOOR)
    assert model(*batch).shape == (3, 10)
    embedding = model.embed(*batch)
    assert embedding.ndim == 2 and len(embedding) == 3 and embedding.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 3, 7, 16, 31, 60])
def test_a_clip_gets_the_same_logits_and_embedding_whatever_its_batch(model, frames):
    (clip,) = clips(frames)
    alone = clip.unsqueeze(0), torch.tensor([frames])
    for others in ([90], [5, 61], [frames + 1]):
        together = pad([clip, *clips(*others)], FLOOR)
        torch.testing.assert_close(model(*together)[0], model(*alone)[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model.embed(*together)[0], model.embed(*alone)[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_clips_of_a_batch_do_not_influence_each_other(model):
    batch = clips(20, 33, 27)
    there = model(*pad(batch, FLOOR))
    torch.testing.assert_close(model(*pad(batch[::-1], FLOOR)).flip(0), there, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_clip_of_one_frame_gets_an_answer(model):
    assert model(*pad(clips(1), FLOOR)).isfinite().all()
    assert model(*pad(clips(1, 1), FLOOR)).isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_a_networks_head_is_a_dropout_and_a_linear_layer_on_its_embedding(name):
    """What a linear probe and a projection rely on."""
    kind, config = MODELS[name]
    network = kind(config(n_mels=MELS))
    dropout, linear = network.head
    assert isinstance(dropout, torch.nn.Dropout)
    assert network.embed(*pad(clips(30, 12), FLOOR)).shape == (2, linear.in_features)


@torch.no_grad()
def test_the_head_turns_the_embedding_into_the_logits(model):
    batch = pad(clips(30, 12), FLOOR)
    torch.testing.assert_close(model.head(model.embed(*batch)), model(*batch))


@torch.no_grad()
def test_different_clips_get_different_logits(model):
    logits = model(*pad(clips(30, 30), FLOOR))
    assert (logits[0] - logits[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_weight_of_a_network(name):
    torch.manual_seed(0)
    kind, config = MODELS[name]
    network = kind(config(n_mels=MELS)).train()
    logits = network(*pad(clips(40, 33, 21, 38), FLOOR))
    torch.nn.functional.cross_entropy(logits, torch.tensor([1, 5, 0, 9])).backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not without


@pytest.mark.parametrize("name", MODELS)
def test_a_network_learns_four_clips_by_heart(name):
    torch.manual_seed(0)
    kind, config = MODELS[name]
    network = kind(config(n_mels=MELS)).train()
    batch, labels = pad(clips(40, 33, 21, 38), FLOOR), torch.tensor([1, 5, 0, 9])
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(*batch), labels).backward()
        optimizer.step()
    with torch.no_grad():
        assert torch.equal(network.eval()(*batch).argmax(1), labels)


# The linear model


def naive_pool(clip: np.ndarray, size: int) -> np.ndarray:
    """Every frame as `size` equal bits; then every part is a whole number of bits."""
    bits = np.repeat(clip, size, axis=0)
    return np.stack([part.mean(axis=0) for part in np.split(bits, size)])


def naive_truncate(clip: np.ndarray, size: int) -> np.ndarray:
    rows = [clip[i] if i < len(clip) else np.full(clip.shape[1], FLOOR) for i in range(size)]
    return np.stack(rows)


@given(frames=st.lists(st.integers(1, 40), min_size=1, max_size=4), size=st.integers(1, 30))
@settings(max_examples=50)
def test_views_equal_their_naive_versions(frames, size):
    batch = clips(*frames)
    pooled, truncated = pool(*pad(batch, 7.0), size), truncate(*pad(batch, 7.0), size, FLOOR)  # 7 is behind the ends
    assert pooled.shape == truncated.shape == (len(frames), size, MELS)
    for i, clip in enumerate(batch):
        np.testing.assert_allclose(pooled[i], naive_pool(clip.numpy(), size), atol=1e-4)
        np.testing.assert_array_equal(truncated[i], naive_truncate(clip.numpy(), size))


@pytest.fixture(scope="module")
def examples():
    """Features and labels of three takes of each digit by two speakers."""
    made = [(digit, speaker, take) for digit in range(10) for speaker in ("ada", "bob") for take in range(3)]
    config = FeatureConfig(sample_rate=RATE, n_mels=MELS)
    return extract([speak(*one) for one in made], config), torch.tensor([digit for digit, *_ in made]), config.floor


@pytest.mark.parametrize("view", ["pool", "truncate"])
@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_the_linear_module_decides_as_the_scikit_learn_pipeline_does(examples, view, loss):
    features, labels, floor = examples
    # so weak, that not every clip is put right
    config = LinearConfig(n_mels=MELS, view=view, size=7, loss=loss, strength=1e-5)
    model = model_baseline.fit(config, features, labels, floor)
    naive = naive_pool if view == "pool" else lambda clip, size: truncate(*pad([torch.tensor(clip)]), size, floor)[0]
    views = np.stack([np.asarray(naive(clip.numpy(), 7)).ravel() for clip in features])
    pipeline = make_classifier(config).fit(views, labels.numpy())

    with torch.no_grad():
        logits = model(*pad(features, floor))
    np.testing.assert_allclose(logits, pipeline.decision_function(views), atol=2e-3)
    predicted = predict(model, features, floor).argmax(1).numpy()
    np.testing.assert_array_equal(predicted, pipeline.predict(views))
    if loss == "logistic":
        np.testing.assert_allclose(predict(model, features, floor), pipeline.predict_proba(views), atol=1e-3)


def test_the_floor_that_truncate_pads_with_belongs_to_the_weights(examples):
    features, labels, floor = examples
    config = LinearConfig(n_mels=MELS, view="truncate", size=60, strength=1e-5)
    model = model_baseline.fit(config, features, labels, floor - 5)
    again = Linear(config)
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(again(*pad(features, 0.0)), model(*pad(features, 0.0)))


@pytest.mark.parametrize("wrong", [{"view": "crop"}, {"loss": "squared"}, {"size": 0}, {"strength": 0.0}])
def test_a_linear_model_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError):
        LinearConfig(n_mels=MELS, **wrong)


# Where the transformer looks


def test_attention_maps_are_shares_of_what_lies_within_the_clip():
    torch.manual_seed(0)
    model = ViT(ViTConfig(n_mels=MELS, depth=3, heads=2, width=16)).eval()
    maps = model.attention_maps(*pad(clips(42, 17), FLOOR))
    assert maps.shape == (2, 3, 2, 6, 3)  # clips, layers, heads, a column each 8 of 42 frames, rows each 8 of 20 mels
    assert (maps >= 0).all() and (maps.sum((3, 4)) < 1).all()  # the rest is the class token's look at itself
    assert not maps[1, :, :, 3:].any()  # behind the end of the shorter clip
    assert (maps[1, :, :, :3] > 0).all()
    alone = model.attention_maps(*pad(clips(42, 17)[1:], FLOOR))
    torch.testing.assert_close(maps[1:, :, :, :3], alone)


def test_a_patch_sees_what_it_says():
    """A frame or a band counts for the token in whose patch it lies, and for no other."""
    torch.manual_seed(0)
    model = ViT(ViTConfig(n_mels=40)).eval()
    features = torch.randn(1, 80, 40, requires_grad=True)
    tokens, _ = model.tokens(features, torch.tensor([80]))
    column, row = 4, 2
    tokens[0, 1 + column * model.rows + row].square().sum().backward()
    frames, mels = features.grad[0].nonzero().T
    for seen, place in ((frames, column), (mels, row)):
        assert (seen.max() - seen.min() + 1).item() <= PATCH
        assert seen.min() >= place * STEP - PATCH // 2 and seen.max() <= place * STEP + PATCH // 2


def test_a_transformer_that_does_not_fit_is_refused():
    for wrong in ({"width": 30, "heads": 4}, {"width": 12, "heads": 4}):
        with pytest.raises(ValueError):
            ViTConfig(n_mels=MELS, **wrong)
