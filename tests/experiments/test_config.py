"""Configs are read strictly: errors name the section and the key, and a snapshot reads back as its experiment."""

import pytest
import torch
import yaml

from utils import InputError
from utils.experiments.config import (
    find_experiment,
    load_experiment,
    load_experiments,
    make_model,
    parse_experiment,
    snapshot,
)
from utils.experiments.models import find_model, model_names
from utils.paths import CONFIGS, PROJECT

FILES = sorted(CONFIGS.glob("*.yaml"))
NETWORK = {"model": {"name": "cnn1d"}}
LINEAR = {"model": {"name": "linear"}}


def parse(values: dict):
    return parse_experiment(values, "x.yaml", "x")


# The project's own configs

EXPERIMENTS = {name: made for path in FILES for name, made in load_experiments(path).items()}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_snapshot_reads_back_as_its_experiment(name):
    experiment = EXPERIMENTS[name]
    assert experiment.name == name
    text = yaml.safe_dump(snapshot(experiment))
    assert parse_experiment(yaml.safe_load(text), "snapshot", "another name") == experiment
    assert experiment.data.metadata.startswith("speech_data/") or (PROJECT / experiment.data.metadata).is_file()
    make_model(experiment)


def test_a_snapshot_includes_every_default():
    values = snapshot(parse(NETWORK))
    assert list(values) == ["experiment", "data", "features", "model", "augmentation", "training"]
    for section in ("data", "features", "augmentation", "training"):
        assert values[section]
    assert set(values["model"]) == {"name", *find_model("cnn1d")[1].__dataclass_fields__}
    assert list(snapshot(parse(LINEAR))) == ["experiment", "data", "features", "model"]


def test_an_experiment_must_be_in_exactly_one_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("model: {name: linear}")
    (tmp_path / "several.yaml").write_text("base: mine.yaml\nvariants: {small: {model: {size: 3}}}")
    assert find_experiment("mine", tmp_path).model.size == 10 and find_experiment("small", tmp_path).model.size == 3
    (tmp_path / "a copy.yaml").write_text((tmp_path / "several.yaml").read_text())
    with pytest.raises(InputError, match=r"'small' is defined in a copy\.yaml and several\.yaml"):
        find_experiment("small", tmp_path)
    with pytest.raises(InputError, match="no file has an experiment 'large'"):
        find_experiment("large", tmp_path)


@pytest.mark.parametrize("text", ["training: {epochs: 1}\ntraining: {}", "training:\n  epochs: 1\n  epochs: 2"])
def test_a_repeated_key_is_refused(tmp_path, text):
    (tmp_path / "a.yaml").write_text("model: {name: cnn1d}\n" + text)
    with pytest.raises(InputError, match=r"a\.yaml: .*the key '(training|epochs)' is given twice.* line [34]"):
        load_experiment(tmp_path / "a.yaml")


def test_no_two_experiments_have_the_same_name():
    assert len(EXPERIMENTS) == sum(len(load_experiments(path)) for path in FILES)


# Variants


@pytest.fixture
def variants(tmp_path):
    """`variants(text)` writes a file with variants of a base of two augmentations and three epochs."""
    base = NETWORK | {"augmentation": {"warp_time": 0.3, "jitter_frames": 2}, "training": {"epochs": 3}}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))

    def write(text: str):
        path = tmp_path / "several.yaml"
        path.write_text(text)
        return path

    return write


def test_a_variant_changes_only_the_keys_it_names(variants):
    path = variants(
        "base: base.yaml\nvariants:\n"
        "  same: {}\n  bare:\n"
        "  calm: {augmentation: {warp_time: null}, training: {epochs: 5}, pretraining: {epochs: 7}}\n"
    )
    made = load_experiments(path)
    assert list(made) == ["same", "bare", "calm"]
    base = load_experiment(path.parent / "base.yaml")
    assert made["same"] == made["bare"].__class__(**vars(made["bare"]) | {"name": "same"})
    assert made["same"].augmentation == base.augmentation and made["same"].training == base.training
    assert made["calm"].augmentation.warp_time is None and made["calm"].augmentation.jitter_frames == 2
    assert made["calm"].training.epochs == 5 and made["calm"].pretraining.epochs == 7
    assert made["calm"].training.batch_size == base.training.batch_size
    assert find_experiment("calm", path.parent) == made["calm"] == load_experiment(path, "calm")


def test_a_variant_of_a_variant(variants):
    first = variants("base: base.yaml\nvariants: {calm: {augmentation: {warp_time: null}}, other: {}}")
    path = first.with_name("further.yaml")
    path.write_text("base: several.yaml\nbase_variant: calm\nvariants: {short: {training: {epochs: 1}}}")
    short = load_experiment(path)
    assert (short.name, short.training.epochs) == ("short", 1)
    assert short.augmentation == load_experiment(first, "calm").augmentation
    path.write_text("base: several.yaml\nbase_variant: clam\nvariants: {short: {}}")
    with pytest.raises(InputError, match="several.yaml has no variant 'clam'; did you mean 'calm'"):
        load_experiments(path)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("base: base.yaml\nvariants: {a: {trainin: {}}}", ["several.yaml: a", "'trainin'", "'training'"]),
        ("base: base.yaml\nvariants: {a: {training: {epoch: 3}}}", ["several.yaml: a: training", "'epochs'"]),
        ("base: none.yaml\nvariants: {a: {}}", ["none.yaml", "no such file"]),
        ("variants: {a: {}}", ["'base'"]),
        ("base: base.yaml\nvariants: [a]", ["several.yaml: variants"]),
        ("base: base.yaml\nmodel: {}\nvariants: {a: {}}", ["unknown key 'model'"]),
        ("base: base.yaml\nbase_variant: a\nvariants: {b: {}}", ["base.yaml: has no 'variants'"]),
        ("base: several.yaml\nbase_variant: a\nvariants: {a: {}}", ["based on variants themselves"]),
    ],
)
def test_errors_in_variants_name_the_variant(variants, text, parts):
    with pytest.raises(InputError) as error:
        load_experiments(variants(text))
    for part in parts:
        assert part in str(error.value)


def test_a_file_with_several_variants_needs_a_name(variants):
    path = variants("base: base.yaml\nvariants: {a: {}, b: {}}")
    with pytest.raises(InputError, match="with --variant: a, b"):
        load_experiment(path)
    with pytest.raises(InputError, match="no variant 'c'; known are a, b"):
        load_experiment(path, "c")
    with pytest.raises(InputError, match="no file has an experiment 'c'"):
        find_experiment("c", path.parent)


# Values


def test_given_values_are_used_and_the_rest_keep_their_defaults():
    given = parse(NETWORK | {"training": {"epochs": 3}, "data": {"protocol": "loso", "fold": "ada"}})
    assert given.training.epochs == 3
    assert given.training.batch_size == parse(NETWORK).training.batch_size
    assert (given.data.protocol, given.data.fold) == ("loso", "ada")


def test_a_model_gets_the_number_of_mels_of_the_features():
    for model in model_names():
        experiment = parse({"model": {"name": model}, "features": {"n_mels": 23}})
        assert experiment.model.n_mels == 23
        make_model(experiment)


@pytest.mark.parametrize("rate", [1e-3, "1e-3", 1])
def test_numbers_in_any_notation(rate):
    assert yaml.safe_load("1e-3") == "1e-3"  # YAML reads it as text
    assert parse(NETWORK | {"training": {"learning_rate": rate}}).training.learning_rate == float(rate)


def test_the_name_is_given_or_that_of_the_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: {name: linear}")
    assert load_experiment(path).name == "mine"
    path.write_text("experiment: ours\nmodel: {name: linear}")
    assert load_experiment(path).name == "ours"


# Errors


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (NETWORK | {"training": {"epoch": 3}}, ("training", "'epoch'", "'epochs'")),
        (NETWORK | {"training": {"learnig_rate": 3}}, ("training", "'learnig_rate'", "'learning_rate'")),
        (NETWORK | {"trainnig": {}}, ("'trainnig'", "'training'")),
        ({"model": {"name": "cnn1"}}, ("model", "'cnn1'", "'cnn1d'")),
        ({"model": {"name": "linear", "veiw": "pool"}}, ("model", "'veiw'", "'view'")),
        (LINEAR | {"features": {"nmels": 3}}, ("features", "'nmels'", "'n_mels'")),
        (LINEAR | {"data": {"xyz": 1}}, ("data", "'xyz'", "metadata, protocol, fold")),  # no known key is similar
        ({"model": {"name": "qqq"}}, ("'qqq'", "linear")),
        ({"model": {}}, ("model", "name")),
        ({}, ("model",)),
        (LINEAR | {7: {}}, ("'7'",)),
        ({"model": {"name": ["linear"]}}, ("model", "name")),
        ({"model": {"name": {"linear": 1}}}, ("model", "name")),
    ],
)
def test_an_unknown_name_suggests_the_closest_known_one(values, parts):
    with pytest.raises(InputError) as caught:
        parse(values)
    assert str(caught.value).startswith("x.yaml: ") and "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("training", "epochs", 2.5, "whole number"),
        ("training", "epochs", "ten", "whole number"),
        ("training", "epochs", True, "whole number"),
        ("training", "epochs", None, "whole number"),
        ("training", "learning_rate", "fast", "number"),
        ("training", "learning_rate", [1], "number"),
        ("training", "learning_rate", False, "number"),
        ("training", "learning_rate", float("nan"), "number"),
        ("training", "learning_rate", "inf", "number"),
        ("training", "learning_rate", 10**400, "number"),
        ("training", "schedule", 3, "text"),
        ("features", "n_mels", "40", "whole number"),
        ("data", "fold", 3, "text"),
        ("augmentation", "speed", 1.2, "a list [...] of 2, each a number"),
        ("augmentation", "speed", [0.9], "a list [...] of 2, each a number"),
        ("augmentation", "speed", ["slow", "fast"], "number"),
        ("training", "epochs", 0, "epochs"),
        ("training", "schedule", "linear", "one-cycle"),
        ("features", "f_max", 9000, "f_max"),
        ("features", "n_mels", -3, "from 1 to 1,024"),
        ("features", "n_mels", 300, "bands"),
        ("features", "f_min", 3999, "n_mels = 40 bands"),
        ("model", "n_mels", 41, "the features have 40"),
        ("model", "channels", [], "at least 1"),
        ("model", "channels", [8, 0], "at least 1"),
        ("model", "blocks", 0, "at least 1"),
        ("model", "kernel", 4, "odd"),
        ("model", "dropout", 1.5, "less than 1"),
        ("model", "classes", 5, "ten digits"),
    ],
)
def test_a_wrong_value_is_reported_with_section_and_key(section, key, value, expected):
    with pytest.raises(InputError) as caught:
        parse(NETWORK | {section: NETWORK.get(section, {}) | {key: value}})
    message = str(caught.value)
    assert message.startswith(f"x.yaml: {section}: ") and key in message and expected in message


@pytest.mark.parametrize("section", ["data", "features", "model", "training"])
@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_a_section_must_be_a_mapping(section, value):
    with pytest.raises(InputError, match=f"x.yaml: {section}: expected 'key: value' lines"):
        parse(NETWORK | {section: value})


@pytest.mark.parametrize("section", ["training", "augmentation"])
def test_a_linear_model_refuses_sections_it_would_ignore(section):
    with pytest.raises(InputError, match=f"linear.*'{section}'"):
        parse(LINEAR | {section: {}})


def test_a_missing_config_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            load_experiment(path)


# Names and limits


@pytest.mark.parametrize("name", [None, True, False, 1.5, ["a"]])
def test_a_name_that_yaml_takes_for_something_else_is_refused(tmp_path, name):
    with pytest.raises(
        InputError, match=r"x\.yaml: experiment: expected a name, not .*; if it is one, put it in quotes"
    ):
        parse(LINEAR | {"experiment": name})


@pytest.mark.parametrize("data", [{"also_train": ["a.tsv", "b.tsv", "a.tsv"]}, {"noises": ["arabic", "arabic"]}])
def test_a_source_that_is_given_twice_is_refused(data):
    with pytest.raises(InputError, match=r"data: (also_train has a\.tsv|noises has arabic) twice"):
        parse(LINEAR | {"data": data})


def test_the_table_itself_is_no_further_table():
    with pytest.raises(InputError, match=r"data: also_train has SDR_metadata\.tsv, which is trained on already"):
        parse(LINEAR | {"data": {"also_train": ["SDR_metadata.tsv"]}})


NO_NAMES = ["/somewhere/else", "../../x", "..", ".hidden", "", "a/b", "a\\b", "a b", "a\nb", "x" * 101]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"x\.yaml: experiment: .* cannot be a name"):
        parse(LINEAR | {"experiment": name})
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(LINEAR))
    (tmp_path / "several.yaml").write_text(yaml.safe_dump({"base": "base.yaml", "variants": {name: {}}}))
    with pytest.raises(InputError, match=r"several\.yaml: variants: .* cannot be a name"):
        load_experiments(tmp_path / "several.yaml")


@pytest.mark.parametrize("name", ["cnn1d", "my-model_2.1", "été", 2024])
def test_an_ordinary_name_is_accepted(name):
    assert parse(LINEAR | {"experiment": name}).name == str(name)


@pytest.mark.parametrize(
    ("section", "key", "value", "limit"),
    [
        ("features", "n_fft", 99999999999, "65,536"),
        ("features", "n_fft", 2**40, "65,536"),
        ("features", "n_mels", 10**7, "1,024"),
        ("features", "sample_rate", 1_409_294_144, "192,000"),
        ("model", "channels", [10**9], "4,096"),
        ("model", "channels", [8] * 10_000, "100"),
        ("model", "blocks", 10**6, "100"),
        ("training", "epochs", 10**12, "100,000"),
        ("training", "batch_size", 2**40, "65,536"),
        ("training", "min_steps", 10**12, "10,000,000"),
        ("pretraining", "contrastive", {"dims": 10**9}, "4,096"),
        ("augmentation", "jitter_frames", 10**9, "1,000"),
        ("augmentation", "gain_db", [0, 1e9], "200"),
        ("data", "synthetic_voices", 10**9, "10,000"),
        ("data", "synthetic_non_digits", 10**12, "100,000"),
        ("data", "synthetic_music", 10**12, "100,000"),
        ("data", "synthetic_language", "", "must be a language"),
        ("self_training", "neighbours", 10**12, "10,000"),
    ],
)
def test_an_absurd_setting_is_refused_with_its_limit(section, key, value, limit):
    name = "dims" if section == "pretraining" else key
    with pytest.raises(InputError, match=rf"x\.yaml: {section}.*{name}.* {limit}") as caught:
        parse(NETWORK | {section: NETWORK.get(section, {}) | {key: value}})
    assert len(str(caught.value)) < 300


def test_settings_that_are_absurd_together_are_refused():
    with pytest.raises(InputError, match="hop_length is too small: .* 4,000,000"):
        parse(NETWORK | {"features": {"n_fft": 2**16, "hop_length": 1, "win_length": 1}})
    experiment = parse({"model": {"name": "cnn1d", "channels": [4096] * 50}})
    with pytest.raises(InputError, match="x: model: its sizes make [0-9,]+ parameters; the limit is 100,000,000"):
        make_model(experiment)


@pytest.mark.parametrize("name", sorted(set(model_names()) - {"linear"}))
def test_the_check_of_the_size_draws_no_random_numbers(name):
    experiment = parse({"model": {"name": name}})
    torch.manual_seed(3)
    checked = make_model(experiment).state_dict()
    torch.manual_seed(3)
    expected = find_model(name)[0](experiment.model).state_dict()
    assert all(torch.equal(checked[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": {"name": "cnn1d"}}, "use the model crnn"),
        ({"features": {"level": "none"}}, "trim_db: null"),
        ({"features": {"trim_db": None}}, "level: none"),
        ({"augmentation": {"speed": [0.9, 1.1]}}, "augmentation: speed"),
        ({"augmentation": {"jitter_frames": 2}}, "augmentation: jitter_frames"),
        ({"augmentation": {"room_seconds": 0.5}}, "augmentation: room_seconds"),
        ({"training": {"label_smoothing": 0.2}}, "training: label_smoothing"),
        ({"training": {"mixup": 0.2}}, "training: mixup"),
        ({"training": {"balance": True}}, "training: balance"),
        ({"strings": {"numbr": 3}}, "numbr"),
    ],
)
def test_strings_need_a_model_and_settings_that_fit(changes, why):
    good = {"model": {"name": "crnn"}, "features": {"trim_db": None, "level": "none"}, "strings": {"number": 100}}
    assert snapshot(parse(good))["strings"]["number"] == 100
    with pytest.raises(InputError, match=why):
        parse(good | changes)
