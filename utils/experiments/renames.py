"""Converts the configs in stored results and checkpoints of older versions to the current names."""

KEYS = {  # by section: the old and the current name of a key
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
TABLES = {  # the old and the current path of a metadata table
    "utils/corpora/arabic.tsv": "utils/data/corpora/arabic.tsv",
    "utils/corpora/arabic_others.tsv": "utils/data/corpora/arabic_words.tsv",
    "utils/corpora/audiomnist_02.tsv": "utils/data/corpora/audiomnist_02.tsv",
}
WITH_TABLES = ("data", "pretraining")  # sections that name metadata tables


def current_names(config: dict) -> dict:
    """A stored config with the current names. One that already has them is unchanged."""
    current = dict(config)
    for section, keys in KEYS.items():
        if isinstance(config.get(section), dict):
            current[section] = {keys.get(key, key): value for key, value in config[section].items()}
    return current | {section: _current_tables(current[section]) for section in WITH_TABLES if section in current}


def _current_tables(value: object) -> object:
    if isinstance(value, dict):
        return {key: _current_tables(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_current_tables(item) for item in value]
    return TABLES.get(value, value) if isinstance(value, str) else value
