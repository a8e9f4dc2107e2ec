"""Two processes train what one would have trained."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch
import yaml
from conftest import settings

from utils import InputError, objectives
from utils.metadata import PROJECT
from utils.parallel import Process

# batch normalisation is taken out: on the CPU its statistics are those of each process' share
TRAIN = """
    import functools, sys
    from pathlib import Path
    from torch import nn
    nn.BatchNorm1d = lambda channels: nn.Identity()
    from utils import cli, experiments, tracking

    config, folder = sys.argv[1], Path(sys.argv[2])
    experiments.run = functools.partial(experiments.run, runs=folder / "runs")
    experiments.checkpoint_folder.__defaults__ = (folder / "runs",)
    tracking.track = lambda *given: False
    cli.main(["train", config, "--store", str(folder / "results")])
"""


def trained_by(processes: int, config, folder, script) -> tuple[dict, str]:
    """The weights, and what was printed."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [sys.executable, *(torchrun if processes > 1 else []), script, config, folder],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (weights,) = (folder / "runs").rglob("best_model.pt")
    assert len(list((folder / "results").rglob("seed-0.json"))) == 1
    return torch.load(weights, weights_only=True)["model_state"], done.stdout


def test_two_processes_train_the_same_weights_as_one(corpus, tmp_path):
    """With augmentation, averaging and mixup, all of whose chance the two share."""
    learning = {"epochs": 2, "batch_size": 16, "average": 0.9, "mixup": 0.3}
    model = {"name": "cnn1d", "channels": [8, 12], "dropout": 0.0}
    values = settings(corpus, "cnn1d", training=learning, augmentation={"noise_snr_db": [5, 35]}, model=model)
    config, script = tmp_path / "tiny.yaml", tmp_path / "train.py"
    config.write_text(yaml.safe_dump(values))
    script.write_text(textwrap.dedent(TRAIN))
    one, _ = trained_by(1, config, tmp_path / "one", script)
    two, printed = trained_by(2, config, tmp_path / "two", script)
    assert printed.count("TEST: accuracy") == 1  # the first process speaks for both
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=1e-4)


def test_processes_share_a_batch_out():
    batch, labels = torch.arange(10).view(5, 2), torch.arange(5)
    shares = [Process(rank, 2, torch.device("cpu")).share(batch, labels) for rank in range(2)]
    assert [labels.tolist() for _, labels in shares] == [[0, 2, 4], [1, 3]]
    assert torch.equal(shares[1][0], batch[1::2])


def test_contrastive_learning_refuses_to_share_its_batch(monkeypatch):
    monkeypatch.setattr(objectives, "this_process", lambda: Process(0, 2, torch.device("cpu")))
    with pytest.raises(InputError, match="in one process"):
        objectives._alone(torch.zeros(4, 3))
