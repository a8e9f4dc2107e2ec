"""Waveforms become batches of features.

In: waveforms (samples,). Out: log-mel spectrograms (frames, mels) (`log_mel`, the one front end; `extraction` applies
it to many clips), and batches (batch, frames, mels) with lengths (batch,) (`batches`), augmented by `augmentation`.
"""
