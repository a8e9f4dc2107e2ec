"""Two processes train what one would have trained."""

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
from utils.training import loop, objectives
from utils.training.distributed import Process

TRAIN = """
    import sys
    from utils import cli, tracking

    config, folder = sys.argv[1:]
    tracking.track = lambda *given: False
    cli.main(["train", config, "--store", f"{folder}/results", "--runs", f"{folder}/runs"])
"""
# batch normalisation is taken out: on the CPU its statistics are those of each process' share
WITHOUT_STATISTICS = """
    from torch import nn
    nn.BatchNorm1d = lambda channels: nn.Identity()
"""


def trained_by(processes: int, config, folder, script) -> tuple[dict, str]:
    """The weights, and what was printed. A process that fails or hangs fails the test."""
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


def test_two_processes_train_the_same_weights_as_one(corpus, tmp_path):
    """With augmentation, averaging and mixup, all of whose chance the two share."""
    learning = {"epochs": 2, "batch_size": 16, "average": 0.9, "mixup": 0.3}
    model = {"name": "cnn1d", "channels": [8, 12], "dropout": 0.0}
    values = settings(corpus, "cnn1d", training=learning, augmentation={"noise_snr_db": [5, 35]}, model=model)
    config, script = tmp_path / "tiny.yaml", tmp_path / "train.py"
    config.write_text(yaml.safe_dump(values))
    script.write_text(textwrap.dedent(WITHOUT_STATISTICS + TRAIN))
    one, _ = trained_by(1, config, tmp_path / "one", script)
    two, printed = trained_by(2, config, tmp_path / "two", script)
    assert printed.count("TEST: accuracy") == 1  # the first process speaks for both
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=1e-4)


def test_two_processes_stop_at_the_same_epoch(corpus, tmp_path):
    """Early stopping, and what the best epoch is, follow from the same validation in both."""
    learning = {"epochs": 30, "batch_size": 8, "patience": 1, "schedule": "plateau", "learning_rate": 0.02}
    values = settings(corpus, "cnn1d", training=learning, model={"name": "cnn1d", "channels": [8, 12]})
    values["data"] |= {"protocol": "ratio", "fold": "42"}
    config, script = tmp_path / "tiny.yaml", tmp_path / "train.py"
    config.write_text(yaml.safe_dump(values))
    script.write_text(textwrap.dedent(TRAIN))
    trained_by(2, config, tmp_path / "two", script)
    result = json.loads(next((tmp_path / "two" / "results").rglob("seed-0.json")).read_text())
    assert len(result["history"]) < 30


def test_each_process_drops_out_by_its_own_chance(monkeypatch):
    """Its clips are its own; what it draws of a batch's order and augmentation is the same in all."""
    drawn = {}

    def draw(network, objective, *_):
        drawn[process.rank, process.many] = torch.rand(1).item(), objective.generator.initial_seed()
        return 0.0

    class Alone(Process):
        wrap, agree, mean = lambda self, model: model, lambda self, *models: None, lambda self, value: value

    monkeypatch.setattr(training, "_epoch", draw)
    model = torch.nn.Linear(2, 2)
    objective = torch.nn.Module()
    objective.trained, objective.generator, objective.batches = torch.nn.Module.parameters, torch.Generator(), [0]
    for process in (Alone(0, 1, torch.device("cpu")), *(Alone(rank, 2, torch.device("cpu")) for rank in range(2))):
        monkeypatch.setattr(training, "this_process", lambda process=process: process)
        loop.train(model, objective, loop.Optimisation(epochs=1), seed=4)
    (first, _), (second, _) = drawn[0, 2], drawn[1, 2]
    assert first != second and len({shared for _, shared in drawn.values()}) == 1


def test_processes_share_a_batch_out():
    batch, labels = torch.arange(10).view(5, 2), torch.arange(5)
    shares = [Process(rank, 2, torch.device("cpu")).share(batch, labels) for rank in range(2)]
    assert [labels.tolist() for _, labels in shares] == [[0, 2, 4], [1, 3]]
    assert torch.equal(shares[1][0], batch[1::2])


def test_contrastive_learning_refuses_to_share_its_batch(monkeypatch):
    monkeypatch.setattr(objectives, "this_process", lambda: Process(0, 2, torch.device("cpu")))
    with pytest.raises(InputError, match="in one process"):
        objectives._alone(torch.zeros(4, 3))
