"""Batches become weights.

In: batches (batch, frames, mels) with lengths, labels and speakers (batch,). Out: a trained model and its history.

objectives                the losses, each with the clips that it is computed on
contrastive_objectives    contrastive ones, alone or beside the cross-entropy
string_objective          the one of strings of digits, and of the times of their digits
pretraining               before the digits: contrastive, or on the words of any language
loop                      minimises an objective, epoch by epoch
precision                 float32, or bfloat16 on any processor
prediction                runs a trained model: posteriors (clips, 10), logits, embeddings
self_training             posteriors of unlabelled clips -> labels for the next round of training
distributed               splits every batch among several processes
tracking                  logs a run to MLflow
memory                    keeps the memory of a training flat
"""

import os

# oneDNN keeps the kernels that it has compiled for each shape, and batches of varying length have ever new ones. It
# reads this limit when the first network runs. A step on batches of one length needs fewer.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
