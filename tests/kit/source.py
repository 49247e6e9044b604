"""The project's own files, for tests about the code rather than of it."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "umekomi"


@cache
def modules() -> dict[str, ast.Module]:
    """Syntax tree by dotted name, of every module of the package."""
    return {_dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a named function, with its dotted name as written: ``torch.load``, ``eval``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield dotted_name(node.func), node


def imported(tree: ast.Module) -> set[str]:
    """Dotted names of what a module imports, ``from os import environ`` as ``os.environ``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def strings(tree: ast.Module) -> set[str]:
    """Every constant string of a module."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def dotted_name(node: ast.expr) -> str:
    """``a.b.c`` for a name or an attribute of names; what stands before a computed part is left out."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted_name(node.value)}.{node.attr}"
    return ""


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    """Whether ``module`` is one of the packages or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@cache
def files() -> tuple[Path, ...]:
    """What version control holds or would add; skips the test where there is no git to ask."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode()
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())
