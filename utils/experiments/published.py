"""Checkpoints in the layout of fergarciadlc/audio-mnist-cnn, converted to the project's own names."""

from utils import InputError
from utils.experiments.config import Experiment, parse_experiment


def published_experiment(values: dict, where: str) -> Experiment:
    """The experiment of a snapshot in the layout of fergarciadlc/audio-mnist-cnn.

    Its sections are `dataset`, `features` (with `audio`, `stft`, `mel`, `normalization`), `model` (with `backbone`,
    `head`, `output`) and `training`. Raises `InputError` if `CNN2d` and `LogMel` do not support one of its settings.
    """
    try:
        features, model, training = values["features"], values["model"], values.get("training", {})
        audio, stft, mel, norm = (features[part] for part in ("audio", "stft", "mel", "normalization"))
        backbone, head, callbacks = model["backbone"], model["head"], training.get("callbacks") or {}
        for what, given, known in (
            ("features.type", features.get("type"), "mel_spectrogram_db"),
            ("features.mel.power", mel.get("power", 2.0), 2.0),
            ("features.normalization.strategy", norm["strategy"], "fixed"),
            ("model.backbone.kernels", backbone.get("kernels", 3), 3),
            ("model.backbone.batch_norm", backbone.get("batch_norm", True), True),
        ):
            if given != known:
                raise InputError(f"{where}: {what} is {given!r}; only {known!r} is supported")
        sections = {
            "data": {
                "metadata": "speech_data/audiomnist/metadata.tsv",
                "protocol": "ratio",
                "fold": str(values["dataset"]["split"]["seed"]),
            },
            "features": {
                "sample_rate": audio["sample_rate"],
                "seconds": audio["fixed_duration_sec"],
                **{name: stft[name] for name in ("n_fft", "win_length", "hop_length")},
                "n_mels": mel["n_mels"],
                "f_min": mel["fmin"],
                "f_max": mel["fmax"],
                "range_db": 80.0,
                "min_power": 1e-10,
                "trim_db": None,
                "mean_db": norm["mean"],
                "std_db": norm["std"],
            },
            "model": {
                "name": "cnn2d",
                "channels": backbone["filters"],
                "hidden": head["units"],
                "dropout": head.get("dropout", 0.3),
                "classes": model["output"]["num_classes"],
            },
            "training": {
                "epochs": training.get("epochs", 30),
                "batch_size": training.get("batch_size", 64),
                "learning_rate": training.get("learning_rate", 1e-3),
                "weight_decay": 0,
                "clip_norm": None,
                "schedule": "plateau",
                "patience": callbacks.get("early_stopping", {}).get("patience", 8),
                "label_smoothing": 0,
            },
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{where}: not a snapshot of a known layout ({type(error).__name__}: {error})") from None
    return parse_experiment(sections, where, str(values.get("name", "audio-mnist-cnn")))


def renamed_weights(state: dict) -> dict:
    """Weights of the published layout, with the names that `CNN2d` has for the two linear layers of the classifier."""
    layers = sorted({int(name.split(".")[1]) for name in state if name.startswith("classifier.")})
    if len(layers) != 2:
        raise LookupError(f"the classifier has {len(layers)} layers with weights, not 2")
    names = {f"classifier.{layers[0]}.": "hidden.1.", f"classifier.{layers[1]}.": "head.1."}
    for old, new in names.items():
        state = {name.replace(old, new): weight for name, weight in state.items()}
    return state
