"""The help of every `umekomi` command as plain text, asked of the command itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

COMMAND = Path(sys.executable).with_name("umekomi")
PLAIN = {"TYPER_USE_RICH": "0", "COLUMNS": "80", "TERM": "dumb"}


@cache
def help_of(*path: str) -> str:
    """What ``umekomi PATH… --help`` prints, without colours and boxes."""
    done = subprocess.run(
        [str(COMMAND), *path, "--help"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | PLAIN,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def subcommands(*path: str) -> list[str]:
    """Names of the commands below ``umekomi PATH…``, in the order of its help."""
    _, _, listed = help_of(*path).partition("\nCommands:\n")
    return re.findall(r"^  (\S+)  ", listed, flags=re.MULTILINE)


@cache
def commands() -> dict[tuple[str, ...], str]:
    """Help by path of every command: ``()`` is ``umekomi`` itself, ``("models", "pull")`` one of its leaves."""
    found: dict[tuple[str, ...], str] = {}

    def visit(path: tuple[str, ...]) -> None:
        found[path] = help_of(*path)
        for name in subcommands(*path):
            visit((*path, name))

    visit(())
    return found


def flags(path: tuple[str, ...]) -> set[str]:
    """Flags that a command knows, such as ``--port`` and ``-k``."""
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", commands()[path]))
