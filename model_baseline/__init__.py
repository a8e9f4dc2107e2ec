"""The linear baseline: fixed-size views of a mel-spectrogram, and a linear model on them."""

from model_baseline.linear import Linear, LinearConfig, fit

__all__ = ["Linear", "LinearConfig", "fit"]
