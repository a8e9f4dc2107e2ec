"""`pyproject.toml`, `poetry.lock` and `requirements.txt` agree, and name no package index."""

import itertools
import json
import re
import tomllib
from functools import cache

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from utils.paths import PROJECT

GROUPS = {"main", "dev"}  # what requirements.txt is exported with
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "Linux": {"sys_platform": "linux", "os_name": "posix"},
    "Darwin": {"sys_platform": "darwin", "os_name": "posix"},
    "Windows": {"sys_platform": "win32", "os_name": "nt"},
}
HOST = re.compile(r"://|\b(?:[a-z0-9-]+\.)+(?:com|dev|io|net|org)\b|\blocalhost\b", re.IGNORECASE)
AGAIN = "run `make lock`"


def pyproject() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


@cache
def lock() -> dict:
    return tomllib.loads((PROJECT / "poetry.lock").read_text(encoding="utf-8"))


def requirement_lines() -> list[str]:
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def pin(requirement: Requirement) -> tuple[str, str]:
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", f"requirements.txt does not pin {requirement}; {AGAIN}"
    return canonicalize_name(requirement.name), specifier.version


def pins() -> dict[tuple[str, str], Requirement]:
    """The pins of requirements.txt: (name, version) and the line."""
    requirements = [Requirement(line) for line in requirement_lines()]
    return {pin(requirement): requirement for requirement in requirements}


def locked() -> dict[tuple[str, str], dict]:
    """The locked packages of an install with the development tools: (name, version) and the entry."""
    packages = [p for p in lock()["package"] if GROUPS & set(p["groups"]) and not p["optional"]]
    return {(canonicalize_name(package["name"]), package["version"]): package for package in packages}


def wanted(package: dict, environment: dict[str, str]) -> bool:
    """Whether a locked package is needed in this environment. Each of its groups may have its own marker."""
    markers = package.get("markers", "")
    if isinstance(markers, str):
        markers = dict.fromkeys(package["groups"], markers)
    return any(
        not markers.get(group) or Marker(markers[group]).evaluate(environment)
        for group in GROUPS & set(package["groups"])
    )


def test_every_pin_is_locked():
    missing = sorted(pins().keys() - locked().keys())
    assert not missing, f"in requirements.txt but not in poetry.lock: {missing}; {AGAIN}"


def test_every_locked_package_is_pinned():
    missing = sorted(locked().keys() - pins().keys())
    assert not missing, f"in poetry.lock but not in requirements.txt: {missing}; {AGAIN}"


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_both_install_the_same(python: str, platform: str):
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.7",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": "x86_64",
        "platform_system": platform,
        **PLATFORMS[platform],
    }
    pinned = {key for key, line in pins().items() if not line.marker or line.marker.evaluate(environment)}
    needed = {key for key, package in locked().items() if wanted(package, environment)}
    assert pinned == needed, f"differ in {sorted(pinned ^ needed)}; {AGAIN}"
    names = [name for name, _ in pinned]
    assert len(names) == len(set(names)), "two versions of one package"


def test_every_direct_dependency_is_satisfied():
    project = pyproject()
    versions: dict[str, set[str]] = {}
    for name, version in pins():
        versions.setdefault(name, set()).add(version)
    direct = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    assert direct
    for requirement in map(Requirement, direct):
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"requirements.txt lacks {requirement}; {AGAIN}"
        for version in found:
            assert requirement.specifier.contains(version), f"{version} is pinned, not {requirement}; {AGAIN}"


def test_python_versions_agree():
    assert lock()["metadata"]["python-versions"] == pyproject()["project"]["requires-python"], AGAIN


def test_requirements_name_no_host():
    for line in requirement_lines():
        assert not line.lstrip().startswith("-"), f"an option: {line}"
        assert not HOST.search(line), f"an address: {line}"
        assert Requirement(line).url is None, f"an address: {line}"


def test_lock_names_no_host():
    for package in lock()["package"]:
        assert "source" not in package, f"{package['name']} comes from {package['source']}"
        assert package["files"], f"{package['name']} has no files"
        for file in package["files"]:
            assert set(file) == {"file", "hash"}, f"{package['name']}: {file}"
            assert "/" not in file["file"], f"{package['name']}: {file}"
    lines = (PROJECT / "poetry.lock").read_text(encoding="utf-8").splitlines()
    named = [line for line in lines if HOST.search(line) and not line.startswith("description = ")]
    assert not named, f"addresses: {named}"


def test_the_licence_of_every_dependency_is_listed():
    text = (PROJECT / "docs" / "licences.md").read_text(encoding="utf-8")
    listed = {name for row in re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE) for name in row.split(", ")}
    project, package = pyproject(), json.loads((PROJECT / "demo" / "package.json").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *itertools.chain(*project["dependency-groups"].values())]
    names = {Requirement(line).name for line in wanted} | package["devDependencies"].keys()
    assert names <= listed, names - listed
