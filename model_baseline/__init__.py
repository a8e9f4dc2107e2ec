"""The baseline: a linear model on a fixed-size view of a mel-spectrogram.

In: features (batch, frames, mels) with lengths (batch,). Out: logits (batch, 10).
"""

from model_baseline.linear import Linear, LinearConfig, fit

__all__ = ["Linear", "LinearConfig", "fit"]
