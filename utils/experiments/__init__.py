"""From a YAML to clips, a trained model, a result and a checkpoint.

In: a YAML, read into one frozen dataclass per section (`config`). Out: the clips of its protocol (`clips`), a model
trained in all its stages (`fitting`, `stages`), a result and a checkpoint (`runs`, `checkpoints`), and the tables of
results (`reproducing`, `reporting`).
"""
