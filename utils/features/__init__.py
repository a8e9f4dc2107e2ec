"""Waveforms become batches of features.

In: waveforms (samples,). Out: batches (batch, frames, mels) with the length of each clip (batch,), in frames.

log_mel                      the front end: a batch of waveforms -> log-mel spectrograms
cache                        what is computed from files, cached on disk with a checksum
extraction                   the features of many clips, cached
waveform_augmentations       changes made before the front end
room_augmentations           silence, reverberation and noise around a word, before the front end as well
channel_augmentations        what microphones and lines do to it, before the front end as well
spectrogram_augmentations    changes made after it
augmentation                 draws the strengths and applies them around the front end
batches                      datasets, and the batches that a model is trained on
strings                      strings of digits, composed of clips of single words
"""
