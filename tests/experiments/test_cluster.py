"""The tables over a Dask cluster: workers that would give other results are refused, and one that dies loses no run."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from conftest import settings

from utils.evaluation import results
from utils.paths import PROJECT

SEEDS = 4
CODE = ("configs", "model_baseline", "model_neural", "utils", "SDR_metadata.tsv", "pyproject.toml")


def test_without_dask_the_message_says_what_to_install(sdr, tables, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    refused = sdr("reproduce", "--scheduler", "tcp://127.0.0.1:1")
    assert (refused.status, refused.err) == (2, "sdr: --scheduler needs Dask: `pip install distributed`\n")
    assert sdr("reproduce", "--scheduler", "tcp://127.0.0.1:1", "--jobs", 2).status == 2


@pytest.fixture
def copy(tmp_path, corpus):
    """A copy of the project whose only experiment takes some seconds. `start(...)` starts Python in it."""
    folder = tmp_path / "copy"
    for name in CODE:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    experiment = settings(corpus, "cnn1d", training={"epochs": 25})
    (folder / "configs" / "little.yaml").write_text(yaml.safe_dump(experiment))
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    started = []

    def start(*words: object) -> subprocess.Popen:
        log = open(tmp_path / f"{len(started)}.log", "w+")  # noqa: SIM115
        command = [sys.executable, *map(str, words)]
        started.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))
        started[-1].log = log
        return started[-1]

    yield folder, start
    for process in started:
        process.kill()
        process.wait()
        process.log.close()


def said(process: subprocess.Popen) -> str:
    process.log.seek(0)
    return process.log.read()


def wait_for(condition, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_worker_that_is_killed_changes_no_number(copy, tmp_path):
    pytest.importorskip("distributed")
    folder, start = copy
    scheduler = start("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard")
    wait_for(lambda: "tcp://127.0.0.1" in said(scheduler))
    address = next(word for word in said(scheduler).split() if word.startswith("tcp://127.0.0.1"))

    def reproduce(store, where: str) -> subprocess.Popen:
        call = f"reproduce(['course'], also='little', seeds={SEEDS}, store=Path({str(store)!r}), {where})"
        imports = "from pathlib import Path; from utils.experiments.reproducing import reproduce"
        return start("-c", f"{imports}\n{call}")

    def worker(threads: int) -> subprocess.Popen:
        return start("-m", "distributed.cli.dask_worker", address, "--nthreads", threads, "--no-nanny")

    broad = worker(2)
    refused = reproduce(tmp_path / "refused", f"scheduler={address!r}")
    assert refused.wait(240) == 1
    assert "has 2 threads" in said(refused)
    broad.kill()

    workers = [worker(1), worker(1)]
    wait_for(lambda: all("Registered to" in said(one) for one in workers))
    spread = reproduce(tmp_path / "spread", f"scheduler={address!r}")
    wait_for(lambda: any((folder / "runs").rglob("*.state")) or spread.poll() is not None)
    workers[0].send_signal(signal.SIGKILL)
    assert spread.wait(400) == 0, said(spread)

    alone = reproduce(tmp_path / "alone", "jobs=1, again=True")
    assert alone.wait(400) == 0, said(alone)
    for seed in range(SEEDS):
        there, here = (
            results.load(tmp_path / name / "little" / "course" / f"seed-{seed}.json") for name in ("spread", "alone")
        )
        assert there["metrics"] == here["metrics"]
        assert [row["loss"] for row in there["history"]] == [row["loss"] for row in here["history"]]
    assert not list((tmp_path / "spread").glob(".shared-*"))
