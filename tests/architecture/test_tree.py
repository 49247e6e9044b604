"""The tree as a whole: what may stand in no file, and that the README's layout is the layout."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions

import pytest

from kit.source import PACKAGE, ROOT, files, imported, modules, strings

# Written in parts, so that this file does not hold what it looks for. The first names hosts of package
# registries, which the user's own configuration chooses; the second, places on the machines of developers.
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
HOSTS += [".".join(parts) for parts in (("download", "pytorch", "org"), ("conda", "anaconda", "org"))]
PLACES = [
    "/".join(parts) for parts in (("", "work", ""), ("", "root", ""), ("..", "shared"), ("", "opt", "wheels"))
]


@pytest.mark.parametrize("word", [*HOSTS, *PLACES])
def test_no_file_names_a_package_registry_or_a_place_of_its_makers(word: str) -> None:
    needle = word.encode()
    assert not [str(path.relative_to(ROOT)) for path in files() if needle in path.read_bytes()]


@pytest.mark.parametrize("readme", ["README.md", "README.ja.md"])
def test_the_layout_in_the_readme_is_the_layout(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `src/umekomi/(\w+)/` \|", text, flags=re.MULTILINE))
    assert shown == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_pins_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert not [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.!]+( ; .+)?", line)]
    assert "torch==2.13.0" in pins


def base_dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.split(r"[<>=!~\[ ]", requirement)[0] for requirement in project["dependencies"]]


def test_every_base_dependency_is_defended() -> None:
    page = (ROOT / "docs" / "design" / "001-dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z][\w-]+) \|", page, flags=re.MULTILINE)
    assert set(base_dependencies()) <= set(rows)


def test_every_base_dependency_is_used() -> None:
    names = {name.partition(".")[0] for tree in modules().values() for name in imported(tree) | strings(tree)}
    provided = packages_distributions()
    for dependency in base_dependencies():
        packages = {package for package, homes in provided.items() if same(dependency, homes)}
        assert packages & names, dependency


def same(name: str, others: list[str]) -> bool:
    return name.replace("_", "-") in {other.replace("_", "-").lower() for other in others}
