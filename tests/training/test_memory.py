"""The memory of a training does not grow with the number of batches, and the limits on it change no number."""

import subprocess
import sys

import pytest
from conftest import experiment_of

from utils.experiments import runs
from utils.paths import PROJECT
from utils.training import memory

GROWTH_MB = 100
# Trains a network on a thousand batches of ever new lengths; prints the memory (MB) after each hundred of them.
TRAINING = """
from pathlib import Path

import torch

from utils.experiments.models import find_model
from utils.training import loop

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

class Batches:
    def __len__(self):
        return 100

    def __iter__(self):
        for _ in range(len(self)):
            frames = int(torch.randint(20, 160, (1,)))
            yield torch.randn(4, frames, 40), torch.full((4,), frames)

class Random(torch.nn.Module):
    batches, generator, floor = Batches(), torch.Generator(), -8.0

    def trained(self, model):
        return model.parameters()

    def loss(self, model, batch):
        return model(*batch).square().mean()

torch.set_num_threads(1)
network, config = find_model("resnet")
loop.write_atomically = lambda path, write: print(resident(), flush=True)  # the state, after each epoch
loop.train(network(config(n_mels=40)), Random(), loop.Optimisation(epochs=10), seed=0, state=Path("never written"))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc")
def test_a_thousand_batches_of_varying_lengths_grow_by_less_than_100_mb():
    done = subprocess.run([sys.executable, "-c", TRAINING], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    resident = [float(line) for line in done.stdout.split()]
    assert len(resident) == 10 and max(resident) - resident[0] < GROWTH_MB, resident


def test_releasing_memory_changes_no_number(corpus, tmp_path, monkeypatch):
    """Neither the network nor its losses know how often memory is returned."""
    experiment = experiment_of(corpus, "cnn1d")
    made = []
    for every in (1, 1000):
        monkeypatch.setattr(memory, "EVERY", every)
        result = runs.run(experiment, 0, store=tmp_path / str(every), runs=tmp_path / str(every))
        made.append((result["metrics"], [row["loss"] for row in result["history"]]))
    assert made[0] == made[1]
