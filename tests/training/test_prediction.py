"""Predictions do not depend on the order or the batches of the clips; models without an embedding are named."""

import pytest
import torch
from small_network import SmallNetwork
from torch import nn

from model_neural.cnn1d import CNN1d, CNN1dConfig
from utils import InputError
from utils.training.prediction import embed, embedding_width, predict, predict_logits

FLOOR = -1.0


@pytest.fixture
def model() -> CNN1d:
    torch.manual_seed(0)
    return CNN1d(CNN1dConfig(n_mels=20, channels=(8, 12)))


@pytest.fixture
def features() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(frames, 20, generator=generator) for frames in (30, 12, 44, 12, 7)]


@pytest.mark.parametrize("batch_size", [1, 2, 128])
def test_rows_are_in_the_order_of_the_clips(model, features, batch_size):
    model.train()
    logits = predict_logits(model, features, FLOOR, batch_size)
    assert not model.training
    with torch.no_grad():
        expected = torch.cat([model(clip.unsqueeze(0), torch.tensor([len(clip)])) for clip in features])
        hidden = torch.cat([model.embed(clip.unsqueeze(0), torch.tensor([len(clip)])) for clip in features])
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(predict(model, features, FLOOR, batch_size), expected.softmax(1))
    torch.testing.assert_close(embed(model, features, FLOOR, batch_size), hidden)


def test_embedding_width_is_the_size_of_the_last_hidden_layer(model, features):
    assert embed(model, features, FLOOR).shape == (5, embedding_width(model)) == (5, 24)


def test_a_model_without_an_embedding_is_named(features):
    with pytest.raises(InputError, match="SmallNetwork has no `embed`"):
        embed(SmallNetwork(), features, FLOOR)
    with pytest.raises(InputError, match="SmallNetwork has no `embed`"):
        embedding_width(SmallNetwork())


def test_a_model_whose_head_does_not_end_in_a_linear_layer_is_named(model):
    model.head = nn.Linear(24, 10)
    with pytest.raises(InputError, match="CNN1d has no .*`head`"):
        embedding_width(model)
