"""Neural models: one self-contained file each. `MODELS` maps a config's `name` to a model and its config."""

from model_neural.cnn1d import CNN1d, CNN1dConfig
from model_neural.cnn2d import CNN2d, CNN2dConfig
from model_neural.gru import GRU, GRUConfig
from model_neural.resnet import ResNet, ResNetConfig
from model_neural.vit import ViT, ViTConfig

MODELS = {
    "cnn1d": (CNN1d, CNN1dConfig),
    "cnn2d": (CNN2d, CNN2dConfig),
    "gru": (GRU, GRUConfig),
    "resnet": (ResNet, ResNetConfig),
    "vit": (ViT, ViTConfig),
}
