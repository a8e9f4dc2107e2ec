"""Experiment tracking: logs runs of `sdr train` to MLflow, if it is installed (`make tracking` shows them)."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mlflow

FOLDER = "mlflow"  # within the folder of the runs


def track(result: dict, folder: Path, store: Path) -> bool:
    """Log a run to MLflow's local store, an SQLite file and a folder of artifacts.

    Args:
        result: what `utils.experiments.runs.run` returns. Its config is logged as parameters, its history as metrics
            per epoch.
        folder: the artifacts to log: the checkpoint and its figures.
        store: the folder of the SQLite file and the artifacts.

    Returns:
        Whether the run was logged: not if MLflow is not installed (`poetry install --with tracking`).
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # no usage statistics to MLflow's developers
    try:
        import mlflow
    except ImportError:
        return False
    store.mkdir(parents=True, exist_ok=True)
    client = mlflow.MlflowClient(f"sqlite:///{store / 'runs.db'}")
    name = result["experiment"]
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name, (store / "artifacts").as_uri())
    run = client.create_run(experiment, run_name=f"{result['protocol']}, seed {result['seed']}").info.run_id
    for key, value in _flat(result["config"]).items():
        client.log_param(run, key, value)
    for step, row in enumerate(result["history"], start=1):
        _log(client, run, {key: value for key, value in row.items() if key not in ("epoch", "stage")}, step)
    for part, measured in result["metrics"].items():
        title = re.sub(r"[^\w -]", "_", part)[:200]  # it may be the name of a file, which MLflow may refuse
        _log(client, run, {f"{title} {key}": value for key, value in measured.items() if isinstance(value, float)}, 0)
    _log(client, run, {key: result[key] for key in ("parameters", "multiply_adds", "train_seconds")}, 0)
    client.log_artifacts(run, str(folder))
    client.set_terminated(run)
    return True


def _flat(config: dict) -> dict:
    """Flatten a config's sections: {"training": {"epochs": 1}} becomes {"training.epochs": 1}."""
    flat = {}
    for section, values in config.items():
        for key, value in values.items() if isinstance(values, dict) else [(None, values)]:
            flat[f"{section}.{key}" if key else section] = value
    return flat


def _log(client: "mlflow.MlflowClient", run: str, values: dict, step: int) -> None:
    for key, value in values.items():
        client.log_metric(run, key, value, step=step)
