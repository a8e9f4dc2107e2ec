"""Configs of older versions, as stored results and checkpoints hold them: their keys under today's names."""

KEYS = {  # by section: what a key was called, and what it is called now
    "data": {"takes": "repetitions", "not_digits": "non_digits", "synthetic_others": "synthetic_non_digits"},
    "features": {"least_power": "min_power"},
    "augmentation": {
        "noise_share": "noise_probability",
        "warp": "vtlp",
        "tint_db": "spectral_tilt_db",
        "gate_db": "noise_gate_db",
    },
    "training": {"average": "ema_decay", "least_steps": "min_steps"},
    "pretraining": {"average": "ema_decay", "least_steps": "min_steps"},
}
TABLES = {  # metadata tables that have moved
    "utils/corpora/arabic.tsv": "utils/data/corpora/arabic.tsv",
    "utils/corpora/arabic_others.tsv": "utils/data/corpora/arabic_words.tsv",
    "utils/corpora/audiomnist_02.tsv": "utils/data/corpora/audiomnist_02.tsv",
}


def current_names(config: dict) -> dict:
    """A stored config with today's names; one that has them already stays as it is."""
    current = dict(config)
    for section, keys in KEYS.items():
        if isinstance(config.get(section), dict):
            current[section] = {keys.get(key, key): value for key, value in config[section].items()}
    if isinstance(current.get("data"), dict):
        current["data"] = {key: _current_tables(value) for key, value in current["data"].items()}
    return current


def _current_tables(value: object) -> object:
    if isinstance(value, list):
        return [_current_tables(item) for item in value]
    return TABLES.get(value, value) if isinstance(value, str) else value
