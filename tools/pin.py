"""Writes constraints.txt: the name and version of every package of the base and dev installs, and of their builds.

pip resolves without installing. Only names and versions are kept: no address, no local version such as ``+cpu``.
Python 3.11 resolves here, being the oldest supported: what still supports it supports its successors.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"

FIXED = ("torch==2.13.0",)
"""Held by hand: machines that keep a CPU build of torch keep this one, and an open range would fetch CUDA."""

BUILD = ("hatchling", "editables", "setuptools", "wheel")
"""What building the project and its dependencies without wheels takes."""

HEADER = """\
# Versions that the Makefile installs: the base and dev installs, and what builds them.
# Written by `make pin`; the reason for each base dependency stands in docs/design/001-dependencies.md.
"""


def resolve() -> dict[str, str]:
    """Version by name of everything that the dev extra and the builds need, this project left out."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"]
        subprocess.run(
            [*command, "--report", str(report), "--editable", f"{ROOT}[dev]", *BUILD, *FIXED], check=True
        )
        installed = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = {item["metadata"]["name"]: item["metadata"]["version"].split("+")[0] for item in installed}
    del found["umekomi"]
    return found


def main() -> None:
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"pin.py resolves on Python 3.11, this is {sys.version.split()[0]}: make pin PYTHON=python3.11")
    pins = resolve()
    lines = [f"{name}=={pins[name]}\n" for name in sorted(pins, key=str.lower)]
    CONSTRAINTS.write_text(HEADER + "".join(lines), encoding="utf-8")
    print(f"{CONSTRAINTS.name}: {len(lines)} packages")


if __name__ == "__main__":
    main()
