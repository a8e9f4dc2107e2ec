"""The notebooks: what is committed, how they are run, and what their cells share."""

import ast
import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import run_notebooks
import soundfile
from run_notebooks import METADATA, NOTEBOOKS

from utils import InputError
from utils.experiments import notebook
from utils.experiments.config import find_experiment, load_experiment
from utils.paths import CONFIGS, COURSE_METADATA, PROJECT, speech_data

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
SOLUTIONS = sorted(NOTEBOOKS.glob("solutions/*.ipynb"))  # of the exercises, whose own tests are in test_exercises.py
every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
every_executed = pytest.mark.parametrize("path", PATHS + SOLUTIONS, ids=lambda path: path.stem)
CLIPS = (speech_data() / "0_george_0.wav").exists()


def cells(path: Path, kind: str) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def outputs(path: Path) -> list:
    return [output for cell in cells(path, "code") for output in cell.outputs]


# The committed notebooks


def test_there_are_notebooks():
    assert [path.stem for path in PATHS][:3] == ["00_the_data", "01_linear_baseline", "02_cnn1d"]


@every_notebook
def test_it_defines_only_plots(path):
    for cell in cells(path, "code"):
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.ClassDef), f"class {node.name}"
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.name.startswith(("plot", "show")), f"def {node.name}"


@every_notebook
def test_it_opens_with_an_overview_and_ends_with_exercises(path):
    text = [cell.source for cell in cells(path, "markdown")]
    assert re.search(
        r"# .*\n## What you'll do\n.*\n## What you'll learn\n.*\n## What you'll need\n.*\bminutes?\b",
        text[0],
        re.DOTALL,
    )
    assert re.search(r"## Exercises\n(\d\. .*){2,3}", text[-1], re.DOTALL)


@every_executed
def test_it_was_run_from_top_to_bottom_without_errors(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    code = cells(path, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.output_type for output in outputs(path)}
    assert kinds <= {"stream", "display_data", "execute_result"}
    assert all(output.name == "stdout" for output in outputs(path) if output.output_type == "stream"), "a warning"


@every_executed
def test_it_is_small(path):
    assert path.stat().st_size < 700_000
    for output in outputs(path):
        assert len(base64.b64decode(output.get("data", {}).get("image/png", ""))) < 100_000


@every_executed
def test_it_has_no_local_paths_and_no_audio(path):
    text = path.read_text(encoding="utf-8")
    for place in (str(PROJECT), str(PROJECT.parent) + os.sep, str(Path.home()) + os.sep, str(speech_data())):
        assert place not in text
    assert not re.search(r'["\s=(](/home/|/Users/|/private/|/mnt/|/content/|[A-Z]:\\\\)', text)
    assert not re.search(r"data:audio|audio/[\w-]+;base64", text)
    # memory addresses, progress bars: they differ from run to run
    assert not re.search(r"at 0x[0-9a-f]{6}|it/s\]|\d%\|", text)


@every_executed
def test_its_metadata_is_plain(path):
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved["metadata"] == METADATA
    assert all(set(cell["metadata"]) <= {"tags", "nbgrader"} for cell in saved["cells"])


@pytest.mark.parametrize(
    ("name", "kinds"), [("02_cnn1d", ("waveform", "spectrogram")), ("09_in_a_room", ("room", "channel"))]
)
def test_every_augmentation_is_pictured(name, kinds):
    shown = "".join(cell.source for cell in cells(NOTEBOOKS / f"{name}.ipynb", "code"))
    for kind in kinds:
        path = PROJECT / "utils" / "features" / f"{kind}_augmentations.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}
        assert functions
        pictured = functions - {"peaks", "power_law_noise"}  # which change nothing themselves
        assert [name for name in sorted(pictured) if not re.search(rf"\b{name}\(", shown)] == []


# The runner


def write(path: Path, *sources: str) -> bytes:
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])))
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(run_notebooks, "NOTEBOOKS", tmp_path)
    return tmp_path


def test_full_runs_are_saved_unless_they_fail(folder, capsys):
    good = """import os, matplotlib.pyplot as plt, utils
print(repr(os.environ["SDR_SMALL"]), os.path.basename(os.getcwd()))
plt.plot([0, 1]); plt.show()
print("after")"""
    write(folder / "0_good.ipynb", good)
    bad = write(folder / "1_bad.ipynb", "print('never saved')", "1 +\\\n 1", "raise ValueError('no\\nsuch thing')", "1")
    with pytest.raises(SystemExit) as stopped:
        run_notebooks.main([])
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1] == "1_bad.ipynb, cell 3: ValueError: no such thing"
    assert (folder / "1_bad.ipynb").read_bytes() == bad
    assert sorted(path.name for path in folder.iterdir()) == ["0_good.ipynb", "1_bad.ipynb"]

    saved = (folder / "0_good.ipynb").read_bytes()
    made = nbformat.reads(saved.decode(), as_version=4)
    nbformat.validate(made)
    assert made.metadata == METADATA
    (cell,) = made.cells
    assert (cell.execution_count, cell.metadata) == (1, {})
    assert cell.outputs[0].text.startswith(f"'' {folder.name}\n")
    assert any("image/png" in output.get("data", {}) for output in cell.outputs)
    run_notebooks.main(["0_good"])
    assert (folder / "0_good.ipynb").read_bytes() == saved


def test_small_runs_are_not_saved(folder, capsys):
    before = write(folder / "0.ipynb", "from utils.experiments.notebook import SMALL\nassert SMALL", "print(1)")
    run_notebooks.main(["--small", "0.ipynb"])
    assert (folder / "0.ipynb").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["0.ipynb"]


def test_a_dead_kernel_is_reported(folder, capsys):
    before = write(folder / "0.ipynb", "import os", "os._exit(1)")
    with pytest.raises(SystemExit):
        run_notebooks.main([])
    assert capsys.readouterr().err.splitlines()[-1] == "0.ipynb, cell 2: the kernel died"
    assert (folder / "0.ipynb").read_bytes() == before


def test_an_unknown_name_is_reported(folder, capsys):
    write(folder / "0_one.ipynb", "1")
    with pytest.raises(SystemExit) as stopped:
        run_notebooks.main(["0_two"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "unknown notebook '0_two'; known are 0_one\n"


@pytest.mark.slow
@pytest.mark.parametrize("clips", ["recordings", "stand-in"])
@every_executed
def test_it_runs_small(path, clips, tmp_path):
    if clips == "recordings" and not CLIPS:
        pytest.skip("the course's clips are missing")
    before = path.read_bytes()
    environment = os.environ | ({} if clips == "recordings" else {"SDR_SPEECH_DATA": str(tmp_path)})
    command = [sys.executable, "tools/run_notebooks.py", "--small", path.relative_to(NOTEBOOKS).as_posix()]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr.splitlines()[-1]
    assert path.read_bytes() == before


# What the cells share


def counts(clips) -> dict:
    assert not clips["identifier"].duplicated().any()
    return {
        part: (sorted(rows["speaker"].unique()), rows.groupby(["speaker", "label"]).size())
        for part, rows in clips.groupby("split")
    }


def test_without_the_recordings_small_runs_get_a_stand_in(monkeypatch, tmp_path):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    monkeypatch.setattr(notebook, "SMALL", True)
    monkeypatch.setattr(notebook, "STAND_IN", tmp_path / "stand-in")
    clips = notebook.course_clips()
    assert clips["path"].map(os.path.isfile).all()
    parts = counts(clips)
    assert parts["TRAIN"][0] == ["george", "jackson", "nicolas", "theo"]
    assert parts["DEV"][0] == parts["TEST"][0] == ["lucas", "yweweler"]
    for speakers, sizes in parts.values():
        assert len(sizes) == 10 * len(speakers)
        assert set(sizes) == {notebook.REPETITIONS}


def test_without_the_recordings_full_runs_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    monkeypatch.setattr(notebook, "SMALL", False)
    with pytest.raises(InputError, match="no clip at .*sdr data"):
        notebook.course_clips()


def test_with_the_recordings(monkeypatch, tmp_path):
    for line in COURSE_METADATA.read_text(encoding="utf-8").splitlines()[1:]:
        (tmp_path / Path(line.split("\t")[4]).name).touch()
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    monkeypatch.setattr(notebook, "SMALL", False)
    assert len(notebook.course_clips()) == 3000
    monkeypatch.setattr(notebook, "SMALL", True)
    for speakers, sizes in counts(notebook.course_clips()).values():
        assert len(sizes) == 10 * len(speakers)
        assert set(sizes) == {notebook.REPETITIONS}


def test_a_small_run_uses_every_engine_and_digit(monkeypatch):
    monkeypatch.setattr(notebook, "SMALL", True)
    sizes = notebook.synthetic_clips("en").groupby(["engine", "label"]).size()
    assert len(sizes) == 10 * 6
    assert set(sizes) == {notebook.REPETITIONS}


def test_without_the_noises_small_runs_go_on_and_full_runs_do_not(monkeypatch, tmp_path):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    clips = notebook.synthetic_non_digits(20)
    for small in (True, False):
        monkeypatch.setattr(notebook, "SMALL", small)
        monkeypatch.setattr(notebook, "NON_DIGITS", 20)
        for made in (
            lambda: notebook.mixtures_of(clips)["0"],
            lambda: notebook.unseen_noises(8000)["white"],
            lambda: notebook.non_digit_clips()["noises"],
        ):
            if small:
                assert len(made()) > 0
            else:
                with pytest.raises(InputError, match="sdr data noises"):
                    made()


def test_sounds_are_played_from_files_that_jupyter_serves(monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "PROJECT", tmp_path)
    monkeypatch.setattr(notebook, "SOUNDS", tmp_path / "runs" / "sounds")
    monkeypatch.chdir(NOTEBOOKS)
    sounds = {"loud": np.full(800, 0.5), "quiet": np.full(800, 0.25)}
    page = notebook.sound_players(sounds, 8000).data
    files = re.findall(r'src="\.\./(runs/sounds/\w+\.wav)"', page)
    assert [soundfile.read(tmp_path / file)[0][0] for file in files] == [0.5, 0.25]
    assert page.index("loud") < page.index(files[0]) < page.index("quiet") < page.index(files[1])
    assert "base64" not in page
    assert notebook.sound_players(sounds, 8000).data == page


def test_small_shortens_only_the_training(monkeypatch):
    linear, network = (load_experiment(CONFIGS / f"{name}.yaml") for name in ("linear", "cnn1d"))
    monkeypatch.setattr(notebook, "SMALL", False)
    assert notebook.small(network) == network
    monkeypatch.setattr(notebook, "SMALL", True)
    assert notebook.small(linear) == linear
    short = notebook.small(network)
    assert short.training.epochs == notebook.EPOCHS < network.training.epochs
    assert (short.model, short.features, short.augmentation) == (network.model, network.features, network.augmentation)
    pretrained = notebook.small(find_experiment("swav_tuned", CONFIGS))
    assert pretrained.pretraining.epochs == notebook.EPOCHS
    assert pretrained.pretraining.contrastive.loss == "swav"
