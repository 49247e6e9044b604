"""Runs the steps of `make check`, all of them even where one fails, and names the failures at the end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = [folder for folder in ("src", "tests", "benchmarks", "tools") if (ROOT / folder).is_dir()]
PYTHON = (sys.executable, "-m")
SCRIPT = (sys.executable,)

STEPS: dict[str, tuple[str, ...]] = {
    "format": (*PYTHON, "ruff", "format", "--check", "--quiet", *CODE),
    "lint": (*PYTHON, "ruff", "check", "--quiet", *CODE),
    "types": (*PYTHON, "mypy", "--no-error-summary", "src", "tools"),
    "layers": (str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"),
    "docs": (*SCRIPT, "tools/check_docs.py"),
    "reference": (*SCRIPT, "tools/write_reference.py", "--check"),
    "size": (*SCRIPT, "tools/check_size.py"),
}


def run(name: str) -> bool:
    """Whether the step passed; its output is shown only when it did not, or when it has something to say."""
    started = time.perf_counter()
    done = subprocess.run(
        STEPS[name], check=False, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    passed = done.returncode == 0
    print(f"{'ok  ' if passed else 'FAIL'} {name:<10} {time.perf_counter() - started:6.1f} s", flush=True)
    if not passed or name == "size":
        print("".join(f"       {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
    return passed


def main() -> None:
    wanted = sys.argv[1:] or list(STEPS)
    if unknown := [name for name in wanted if name not in STEPS]:
        sys.exit(f"check.py: unknown step '{unknown[0]}'; known: {', '.join(STEPS)}")
    failed = [name for name in wanted if not run(name)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
