"""Neural models: one self-contained file each, found by the file's name; and contrastive losses.

A module defines one network and, beside it, the frozen dataclass of its settings (docs/your_model.md).
"""
