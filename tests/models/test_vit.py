"""The vision transformer: its attention maps, its patches and its settings."""

import pytest
import torch

from model_neural.vit import PATCH, STEP, ViT, ViTConfig
from utils.features.log_mel import pad

MELS = 20
FLOOR = -1.5


def random_clips(*frames: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, MELS, generator=generator) for n in frames]


def test_attention_maps_are_weights_of_the_patches_within_the_clip():
    torch.manual_seed(0)
    model = ViT(ViTConfig(n_mels=MELS, depth=3, heads=2, width=16)).eval()
    maps = model.attention_maps(*pad(random_clips(42, 17), FLOOR))
    assert maps.shape == (2, 3, 2, 6, 3)  # clips, layers, heads, columns of 8 frames, rows of 8 mels
    assert (maps >= 0).all() and (maps.sum((3, 4)) < 1).all()  # the rest is the class token's attention to itself
    assert not maps[1, :, :, 3:].any()  # the padding of the shorter clip
    assert (maps[1, :, :, :3] > 0).all()
    alone = model.attention_maps(*pad(random_clips(42, 17)[1:], FLOOR))
    torch.testing.assert_close(maps[1:, :, :, :3], alone)


def test_a_token_depends_on_its_patch_only():
    torch.manual_seed(0)
    model = ViT(ViTConfig(n_mels=40)).eval()
    features = torch.randn(1, 80, 40, requires_grad=True)
    tokens, _ = model.tokens(features, torch.tensor([80]))
    column, row = 4, 2
    tokens[0, 1 + column * model.rows + row].square().sum().backward()
    frames, mels = features.grad[0].nonzero().T
    for covered, index in ((frames, column), (mels, row)):
        assert (covered.max() - covered.min() + 1).item() <= PATCH
        assert covered.min() >= index * STEP - PATCH // 2 and covered.max() <= index * STEP + PATCH // 2


def test_a_width_that_the_heads_do_not_divide_is_rejected():
    for invalid in ({"width": 30, "heads": 4}, {"width": 12, "heads": 4}):
        with pytest.raises(ValueError):
            ViTConfig(n_mels=MELS, **invalid)
