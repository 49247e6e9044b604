"""The help of every `umekomi` command as plain text. Run as a script, prints all of it as JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache

PLAIN = {"TYPER_USE_RICH": "0", "COLUMNS": "80", "TERM": "dumb"}
"""Neither colours nor boxes. Typer reads the first at its import, so the help is made in a process of its own."""


@cache
def commands() -> dict[tuple[str, ...], str]:
    """Help by path of every command: ``()`` is ``umekomi`` itself, ``("models", "pull")`` one of its leaves."""
    done = subprocess.run(
        [sys.executable, __file__], check=True, stdout=subprocess.PIPE, text=True, env=os.environ | PLAIN
    )
    return {tuple(path): text for path, text in json.loads(done.stdout)}


def subcommands(*path: str) -> list[str]:
    """Names of the commands below ``umekomi PATH…``, in the order of its help."""
    return listed(commands()[path])


def flags(path: tuple[str, ...]) -> set[str]:
    """Flags that a command knows, such as ``--port`` and ``-k``."""
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", commands()[path]))


def listed(text: str) -> list[str]:
    """The commands that a help text lists."""
    return re.findall(r"^  (\S+)(?:  |$)", text.partition("\nCommands:\n")[2], flags=re.MULTILINE)


def main() -> None:
    from typer.testing import CliRunner

    from umekomi.cli.main import app

    found: list[tuple[tuple[str, ...], str]] = []

    def visit(path: tuple[str, ...]) -> None:
        shown = CliRunner().invoke(app, [*path, "--help"], prog_name="umekomi", catch_exceptions=False).stdout
        found.append((path, "\n".join(line.rstrip() for line in shown.strip().splitlines())))
        for name in listed(shown):
            visit((*path, name))

    visit(())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
