"""Neural networks, one module each, and contrastive losses. `crnn` uses the blocks of `resnet`; no other needs another.

A module defines one network and the frozen dataclass of its settings. A config refers to it by the name of the module
(docs/your_model.md).

In: features (batch, frames, mels) with lengths (batch,). Out: logits (batch, 10).
"""
