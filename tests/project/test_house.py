"""How the house is built: imports run one way, models stand alone, notebooks define nothing but plots."""

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from utils.paths import PROJECT

ORDER = (  # as data flows
    "data",
    "features",
    "training",
    "evaluation",
    "inference",
    "experiments",
    "applications",
    "commands",
)
SHARED = {"__init__", "files", "paths", "progress", "settings"}  # modules directly in utils, for every package
OF_UTILS = {"InputError", "NO_MEMORY", "count", "is_out_of_memory", "plain"}  # what `utils.__init__` has
MODEL_PACKAGES = {  # what models may import besides the standard library
    "model_neural": {"torch", "model_baseline", "model_neural"},
    "model_baseline": {"torch", "numpy", "sklearn", "model_baseline"},
}
LONGEST = 300  # lines of a module


def modules(folder: str) -> list[Path]:
    return sorted((PROJECT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The full names of what a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_utils_has_the_packages_in_the_order_that_data_flows():
    inside = {path.parent.name for path in (PROJECT / "utils").glob("*/*.py")}
    assert inside == set(ORDER)
    assert {path.stem for path in (PROJECT / "utils").glob("*.py")} == SHARED


@pytest.mark.parametrize("package", ORDER)
def test_imports_run_one_way(package):
    allowed = {*ORDER[: ORDER.index(package) + 1], *SHARED, *OF_UTILS}
    wrong = [
        f"{path.relative_to(PROJECT)} imports {name}"
        for path in modules(f"utils/{package}")
        for name in imported(path)
        if name.startswith("utils.") and name.split(".")[1] not in allowed
    ]
    assert not wrong


def test_shared_modules_import_no_package():
    wrong = [
        f"{path.name} imports {name}"
        for path in sorted((PROJECT / "utils").glob("*.py"))
        for name in imported(path)
        if name.startswith("utils.") and name.split(".")[1] in ORDER
    ]
    assert not wrong


def test_text_files_name_their_encoding():
    """Windows would take its own."""
    arguments = {"read_text": 1, "write_text": 2}  # with the encoding
    wrong = [
        f"{path.relative_to(PROJECT)}, line {call.lineno}"
        for path in (*modules("utils"), *modules("tools"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in arguments
        if len(call.args) < arguments[call.func.attr] and all(given.arg != "encoding" for given in call.keywords)
    ]
    assert not wrong


@pytest.mark.parametrize("package", MODEL_PACKAGES)
def test_models_import_no_utilities(package):
    wrong = [
        f"{path.relative_to(PROJECT)} imports {name}"
        for path in modules(package)
        for name in imported(path)
        if (top := name.split(".")[0]) not in MODEL_PACKAGES[package] and top not in sys.stdlib_module_names
    ]
    assert not wrong


@pytest.mark.parametrize("path", [*modules("utils"), *modules("model_neural"), *modules("tools")], ids=lambda p: p.name)
def test_no_module_is_too_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", sorted((PROJECT / "notebooks").rglob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_define_nothing_but_plots_and_what_students_write(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for number, cell in enumerate(cells):
        written_by_students = cell["metadata"].get("nbgrader", {}).get("solution", False)
        if cell["cell_type"] == "code" and not written_by_students:
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                assert not isinstance(node, ast.ClassDef), f"cell {number} defines the class {node.name}"
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    assert node.name.startswith(("plot", "draw")), (
                        f"cell {number} defines {node.name}, which is no plot"
                    )


def test_every_package_says_what_comes_in_and_what_goes_out():
    for package in ORDER[:-1]:
        text = ast.get_docstring(ast.parse((PROJECT / "utils" / package / "__init__.py").read_text(encoding="utf-8")))
        assert "In:" in text and "Out:" in text, package


def test_test_modules_have_names_of_their_own():
    """Pytest imports them by their names, whatever their folder."""
    names = [path.name for path in (PROJECT / "tests").rglob("*.py")]
    assert sorted(names) == sorted(set(names))
