"""Batches become weights.

In: batches (batch, frames, mels) with lengths, labels and speakers (batch,). Out: a trained model and its history
(`loop`), by the losses of `objectives`. `prediction` makes probabilities (clips, 10) with it, from which
`self_training` takes labels. `distributed` shares the work among processes; `tracking` logs a run with MLflow.
"""
