"""The documentation: links lead somewhere, commands parse, examples run, figures are those of the results."""

import importlib
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml

import model_neural
from utils import InputError
from utils.commands.main import COMMANDS, make_parser
from utils.evaluation.tables import load_tables
from utils.experiments import reporting
from utils.experiments.config import load_experiment, make_model
from utils.experiments.contract import CHECKS
from utils.experiments.models import find_model, network_names
from utils.paths import CONFIGS, PROJECT

DOCS = sorted((PROJECT / "docs").glob("*.md"))
NOTEBOOKS = sorted((PROJECT / "notebooks").rglob("*.ipynb"))
PAGES = [
    PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "demo/README.md")
] + DOCS
PAGES.append(PROJECT / "speech_data" / "README.md")
CREATED = ("configs/mine.yaml", "model_neural/mine.py", "configs/dscnn.yaml", "model_neural/dscnn.py")  # by readers
FOLDERS = {path.name for path in PROJECT.glob("[!.]*/")} - {"results", "runs", "speech_data"}
NOT_COMMITTED = ("demo/dist", "demo/public/model", "utils/corpora/")  # what is built, and what the changelog speaks of
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))


def markdown(path: Path) -> str:
    """A page's Markdown, or that of a notebook's cells."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def prose(path: Path) -> str:
    """Markdown without its blocks of code."""
    return FENCE.sub("", markdown(path))


def blocks(path: Path, language: str) -> list[str]:
    return [code for kind, code in FENCE.findall(markdown(path)) if kind == language]


def commands(path: Path) -> list[list[str]]:
    """The words of each `sdr` command, in blocks and within lines."""
    lines = [line for language in ("console", "sh") for block in blocks(path, language) for line in block.splitlines()]
    lines = [line.strip().removeprefix("$ ") for line in lines] + re.findall(r"`([^`\n]+)`", prose(path))
    found = []
    for line in lines:
        words = shlex.split(line, comments=True) if re.search(r"\bsdr ", line) else []
        programs = [Path(word).name for word in words]  # others may come before it, such as torchrun
        found += [words[programs.index("sdr") + 1 :]] if "sdr" in programs else []
    return found


def anchors(path: Path) -> set[str]:
    """The names by which GitHub links to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_relative_links_lead_to_files_and_headings(path):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(path)) + re.findall(r'(?:src|href)="([^"]+)"', prose(path))
    for link in links:
        if re.match(r"[a-z]+:", link):  # of the web
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(PROJECT), f"{link} leads out of the project"
        if anchor:
            assert anchor in anchors(target), f"{link}: {target.name} has no such heading"


@every_page
def test_commands_parse(page):
    for words in commands(page):
        if words[0] in ("...", *COMMANDS) and len(words) == 1:  # speaks of the command
            continue
        try:
            given, rest = make_parser().parse_known_args(words)
        except InputError as error:
            pytest.fail(f"sdr {' '.join(words)}: {error}")
        if given.name == "predict":  # files may come after an option
            rest = [word for word in rest if word.startswith("-")]
        assert not rest, f"sdr {' '.join(words)}: unknown {rest}"


@every_page
def test_files_that_commands_and_prose_name_exist(page):
    named = [word for words in commands(page) for word in words]
    named += re.findall(r"`([\w./-]+)`", prose(page))
    named += re.findall(r"\butils/[\w/]+\.(?:py|yaml|tsv)\b", prose(page))
    ours = [name for name in named if name.partition("/")[0] in FOLDERS and name not in CREATED]
    ours = [name for name in ours if "NAME" not in name and not name.startswith(NOT_COMMITTED)]
    assert [name for name in ours if not (PROJECT / name).exists()] == []


@every_page
def test_make_targets_exist(page):
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())
    lines = [line.strip() for block in blocks(page, "console") for line in block.splitlines()]
    lines = [line.removeprefix("$ ") for line in lines] + re.findall(r"`([^`\n]+)`", prose(page))
    for line in lines:
        if line.startswith("make "):
            words = [word for word in shlex.split(line, comments=True)[1:] if "=" not in word]
            assert set(words) <= targets, line


def test_the_readme_is_short():
    lines = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
    assert sum(not line.startswith("|") for line in lines) <= 110  # tables grow by a row a model


def test_figures_that_the_readme_quotes_are_those_of_the_results():
    text = " ".join((PROJECT / "README.md").read_text(encoding="utf-8").split())
    mean = {row["model"]: 100 * row["accuracy_mean"] for name in ("loso", "george") for row in reporting.rows(name)}
    assert f"`resnet` reaches a mean of {mean['resnet']:.0f} %" in text
    low, high = mean["one_self_trained"], mean["one_contrastive_self_trained"]
    assert f"unlabelled clips of three others, {low:.0f}-{high:.0f} %" in text


def test_figures_that_a_page_quotes_are_those_of_the_results():
    text = (PROJECT / "docs" / "audiomnist.md").read_text(encoding="utf-8")
    mean = {row["model"]: 100 * row["accuracy_mean"] for row in reporting.rows("arabic")}
    assert f"reaches {mean['arabic_cnn']:.0f} %" in text and f"{mean['arabic_small']:.0f} %:" in text


def test_the_results_page_has_every_table():
    named = re.findall(r"<!-- table ([\w-]+) -->", (PROJECT / "docs" / "results.md").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(load_tables())


# The models of docs/your_model.md and docs/first_hour.md

GUIDES = {PROJECT / "docs" / "your_model.md": "DSCNN", PROJECT / "docs" / "first_hour.md": "Mine"}


@pytest.fixture(params=GUIDES.items(), ids=GUIDES.values())
def example(request, tmp_path, monkeypatch) -> Iterator[tuple[str, Path]]:
    """The class of a page's network, whose module is among the models under its own name, and its config."""
    page, network = request.param
    name = network.lower()
    (code,) = blocks(page, "python")
    (config,) = blocks(page, "yaml")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{name}.py").write_text(code, encoding="utf-8")
    (tmp_path / f"{name}.yaml").write_text(config, encoding="utf-8")
    (tmp_path / "cnn1d.yaml").write_text((CONFIGS / "cnn1d.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(model_neural, "__path__", [*model_neural.__path__, str(tmp_path / "models")])
    monkeypatch.delitem(sys.modules, f"model_neural.{name}", raising=False)
    importlib.invalidate_caches()
    yield network, tmp_path / f"{name}.yaml"
    sys.modules.pop(f"model_neural.{name}", None)
    vars(model_neural).pop(name, None)


def test_the_example_is_found_by_its_name(example):
    network, config = example
    assert config.stem in network_names()
    assert find_model(config.stem)[0].__name__ == network
    experiment = load_experiment(config)
    assert (experiment.name, experiment.model_name) == (config.stem, config.stem)


@pytest.mark.parametrize("promise", CHECKS)
def test_the_example_keeps_the_contract(example, promise):
    experiment = load_experiment(example[1])
    CHECKS[promise](lambda: make_model(experiment))


def test_examples_in_python_name_what_there_is():
    for page in PAGES:
        for code in blocks(page, "python") if page not in GUIDES else ():
            compile(code, page.name, "exec")
            for module, name in re.findall(r"^from (\S+) import (\w+)$", code, re.MULTILINE):
                assert hasattr(importlib.import_module(module), name), f"{page.name}: {module} has no {name}"


@pytest.mark.parametrize("code", blocks(PROJECT / "docs" / "your_language.md", "yaml"))
def test_configs_of_the_page_on_languages_can_be_read(code, tmp_path):
    for base in ("cnn1d.yaml", "resnet.yaml"):
        (tmp_path / base).write_text((CONFIGS / base).read_text(encoding="utf-8"), encoding="utf-8")
    own = "" if "variants" in code else (CONFIGS / "cnn1d.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(own + code, encoding="utf-8")
    assert load_experiment(tmp_path / "mine.yaml").data.metadata == "/path/to/metadata.tsv"


# What engineers expect to find

YAMLS = sorted((PROJECT / ".github").rglob("*.yml")) + [PROJECT / ".pre-commit-config.yaml", PROJECT / "CITATION.cff"]


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.name)
def test_yaml_files_parse(path):
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "workflows":
        assert values["name"] == path.stem and True in values  # YAML 1.1 reads the key `on` as true
        for job in values["jobs"].values():
            assert job["runs-on"] and all(step.keys() & {"uses", "run"} for step in job["steps"])
    elif path.parent.name == "ISSUE_TEMPLATE" and path.stem != "config":
        assert {"name", "description", "body"} <= values.keys()
        assert any(part["type"] != "markdown" for part in values["body"])


def test_versions_agree():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["message"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    (ruff,) = [repo["rev"] for repo in hooks if repo["repo"].endswith("ruff-pre-commit")]
    assert f"\nruff=={ruff.removeprefix('v')} " in (PROJECT / "requirements.txt").read_text(encoding="utf-8")


def test_the_dev_container_names_a_target_of_the_makefile():
    values = json.loads((PROJECT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert values["image"] and "make .venv/.installed" in values["postCreateCommand"]
    assert "READY := .venv/.installed" in (PROJECT / "Makefile").read_text(encoding="utf-8")
