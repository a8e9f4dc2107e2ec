"""Two processes train the same weights as one."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
import torch
import yaml
from conftest import settings

from utils import InputError
from utils.paths import PROJECT
from utils.training import loop
from utils.training.distributed import Process

TRAIN = """
    import sys
    from utils.commands import main
    from utils.training import tracking

    config, folder = sys.argv[1:]
    tracking.track = lambda *arguments: False
    main.main(["train", config, "--store", f"{folder}/results", "--runs", f"{folder}/runs"])
"""
# without batch normalisation: on the CPU each process uses the statistics of its own share
WITHOUT_BATCH_NORM = """
    from torch import nn
    nn.BatchNorm1d = lambda channels: nn.Identity()
"""


def train_with(processes: int, config, folder, script) -> tuple[dict, str]:
    """Train with this many processes: the weights, and what was printed. Fails if a process fails or hangs."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [sys.executable, *(torchrun if processes > 1 else []), script, config, folder],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (weights,) = (folder / "runs").rglob("best_model.pt")
    assert len(list((folder / "results").rglob("seed-0.json"))) == 1
    return torch.load(weights, weights_only=True)["model_state"], done.stdout


@pytest.mark.slow
def test_two_processes_train_the_same_weights_as_one(corpus, tmp_path):
    """With augmentation, EMA and mixup, whose random numbers both processes share."""
    learning = {"epochs": 2, "batch_size": 16, "ema_decay": 0.9, "mixup": 0.3}
    model = {"name": "cnn1d", "channels": [8, 12], "dropout": 0.0}
    values = settings(corpus, "cnn1d", training=learning, augmentation={"noise_snr_db": [5, 35]}, model=model)
    config, script = tmp_path / "tiny.yaml", tmp_path / "train.py"
    config.write_text(yaml.safe_dump(values))
    script.write_text(textwrap.dedent(WITHOUT_BATCH_NORM + TRAIN))
    one, _ = train_with(1, config, tmp_path / "one", script)
    two, printed = train_with(2, config, tmp_path / "two", script)
    assert printed.count("TEST: accuracy") == 1  # only the first process prints
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_two_processes_stop_at_the_same_epoch(corpus, tmp_path):
    """Both get the same validation results, so they agree on early stopping and on the best epoch."""
    learning = {"epochs": 30, "batch_size": 8, "patience": 1, "schedule": "plateau", "learning_rate": 0.02}
    values = settings(corpus, "cnn1d", training=learning, model={"name": "cnn1d", "channels": [8, 12]})
    values["data"] |= {"protocol": "ratio", "fold": "42"}
    config, script = tmp_path / "tiny.yaml", tmp_path / "train.py"
    config.write_text(yaml.safe_dump(values))
    script.write_text(textwrap.dedent(TRAIN))
    train_with(2, config, tmp_path / "two", script)
    result = json.loads(next((tmp_path / "two" / "results").rglob("seed-0.json")).read_text())
    assert len(result["history"]) < 30


def test_each_process_draws_its_own_dropout(monkeypatch):
    """The order of the batches and the augmentation are the same in all processes."""
    drawn = {}

    def draw(network, objective, *_):
        drawn[process.rank, process.world_size] = torch.rand(1).item(), objective.generator.initial_seed()
        return 0.0

    class Alone(Process):
        wrap, sync_buffers, mean = lambda self, model: model, lambda self, *models: None, lambda self, value: value

    monkeypatch.setattr(loop, "_epoch", draw)
    model = torch.nn.Linear(2, 2)
    objective = torch.nn.Module()
    objective.trained, objective.generator, objective.batches = torch.nn.Module.parameters, torch.Generator(), [0]
    for process in (Alone(0, 1, torch.device("cpu")), *(Alone(rank, 2, torch.device("cpu")) for rank in range(2))):
        monkeypatch.setattr(loop, "this_process", lambda process=process: process)
        loop.train(model, objective, loop.Optimisation(epochs=1), seed=4)
    (first, _), (second, _) = drawn[0, 2], drawn[1, 2]
    assert first != second and len({shared for _, shared in drawn.values()}) == 1


def test_a_batch_is_split_among_the_processes():
    batch, labels = torch.arange(10).view(5, 2), torch.arange(5)
    shares = [Process(rank, 2, torch.device("cpu")).share(batch, labels) for rank in range(2)]
    assert [labels.tolist() for _, labels in shares] == [[0, 2, 4], [1, 3]]
    assert torch.equal(shares[1][0], batch[1::2])


def test_contrastive_learning_refuses_to_split_its_batch():
    assert Process(0, 1, torch.device("cpu")).whole(torch.arange(3))[0].tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="in a single process"):
        Process(0, 2, torch.device("cpu")).whole(torch.arange(3))
