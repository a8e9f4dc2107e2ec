"""A YAML becomes clips, a model, a result and a checkpoint.

In: a YAML, read into a frozen dataclass per section (`config`). Out: the clips of its protocol (`clips`), a model
trained by all its stages (`fitting`, `stages`), a result and a checkpoint (`runs`, `checkpoints`), and the tables
(`reproducing`, `reporting`).
"""
