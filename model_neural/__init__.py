"""Neural models: one self-contained file each. `MODELS` maps a config's `name` to a model and its config."""

from model_neural.cnn1d import CNN1d, CNN1dConfig

MODELS = {
    "cnn1d": (CNN1d, CNN1dConfig),
}
