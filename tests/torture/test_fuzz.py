"""Damaged, odd and hostile inputs of every kind: refused in plain lines or answered, never a traceback or a hang.

`make torture` runs it with many inputs. TORTURE_INPUTS is their number for each kind, TORTURE_SEED makes others, and
TORTURE_ONLY=audio:17 runs a single one of those and keeps its folder.
"""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import trials
from bases import Base, make_base
from kinds import KINDS

INPUTS, SEED = int(os.environ.get("TORTURE_INPUTS", 40)), int(os.environ.get("TORTURE_SEED", 0))
ONLY = os.environ.get("TORTURE_ONLY", "").rpartition(":")

TRAINED = ("states",)  # each of these inputs takes a whole training

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="trials are forked")]


@pytest.fixture(scope="module")
def base(corpus, tmp_path_factory) -> Base:
    return make_base(corpus, tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("kind", KINDS)
def test_no_input_breaks_it(base, tmp_path, kind, capsys):
    if ONLY[0] not in ("", kind):
        pytest.skip("not the one asked for")
    numbers = [int(ONLY[2])] if ONLY[0] else range(INPUTS // 2 if kind in TRAINED else INPUTS)
    counts: Counter[str] = Counter()
    faults, slowest, largest = [], (0.0, 0), (0, 0)
    for number in numbers:
        folder = tmp_path / str(number)
        folder.mkdir()
        random = np.random.default_rng([SEED, list(KINDS).index(kind), number])
        trial = KINDS[kind](random, base, folder)
        outcome = trials.run(trial.action, folder)
        fault = trials.problem(outcome, trial.allowed) or (trial.check() if outcome.status == 0 else None)
        if (folder / "executed").exists():
            fault = "code in a file was run"
        if fault:
            faults.append(f"{kind}:{number}: {fault}")
            with capsys.disabled():
                print(f"\n{faults[-1]}", end="", flush=True)
        counts["faults" if fault else "refused" if outcome.status else "answered"] += 1
        slowest, largest = max(slowest, (outcome.seconds, number)), max(largest, (outcome.memory, number))
        if ONLY[0]:
            faults.append(f"{outcome}\nin {folder}")
        else:
            shutil.rmtree(folder)
    with capsys.disabled():
        numbered = ", ".join(f"{counts[name]:,} {name}" for name in ("answered", "refused", "faults"))
        most = f"{slowest[0]:.1f} s (input {slowest[1]}), {largest[0] / 1e9:.2f} GB (input {largest[1]})"
        print(f"\n{kind:14} {len(numbers):6,} inputs: {numbered}; at most {most}")
    _forget(tmp_path)
    assert not faults, "\n".join(faults)


def _forget(folder: Path) -> None:
    if not ONLY[0]:
        shutil.rmtree(folder, ignore_errors=True)
