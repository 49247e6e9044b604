"""Measures the base install in a fresh environment: its size on disk, and that importing it is quick and light."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAX_SIZE_MB = 450
MAX_IMPORT_S = 0.3
RUNS = 7

THIRD_PARTY = """
import sys
before = set(sys.modules)
import umekomi
names = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(names - sys.stdlib_module_names - {"umekomi"}))
"""


def install(folder: Path) -> Path:
    """The Python of a new environment that holds the base install and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    pins = {"PIP_CONSTRAINT": "constraints.txt", "PIP_BUILD_CONSTRAINT": "constraints.txt"}
    subprocess.run(
        [str(python), "-m", "pip", "install", "-qq", "."],
        check=True,
        cwd=ROOT,
        env=os.environ | pins | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    return python


def disk_mb(path: Path) -> float:
    """Allocated megabytes (10^6 bytes) of a file, or 0 for what is no file."""
    return path.lstat().st_blocks * 512 / 1e6 if path.is_file() and not path.is_symlink() else 0.0


def package_sizes(site: Path) -> Iterator[tuple[str, float]]:
    """Name and megabytes of each installed package, from its own list of files."""
    for distribution in metadata.distributions(path=[str(site)]):
        files = distribution.files or []
        yield distribution.name, sum(disk_mb(Path(str(distribution.locate_file(file)))) for file in files)


def seconds(python: Path, code: str) -> float:
    """Median wall-clock time of a fresh interpreter that runs ``code``."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([str(python), "-c", code], check=True, cwd=python.parent)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> None:
    problems = []
    with tempfile.TemporaryDirectory(prefix="umekomi-size-") as temporary:
        folder = Path(temporary)
        python = install(folder)

        total = sum(disk_mb(path) for path in folder.rglob("*"))
        sizes = Counter(dict(package_sizes(next(folder.glob("lib/python*/site-packages")))))
        print(f"base install: {total:.0f} MB on disk, of {MAX_SIZE_MB} allowed; the ten largest packages:")
        for name, size in sizes.most_common(10):
            print(f"  {size:6.1f} MB  {name}")
        if total > MAX_SIZE_MB:
            problems.append(f"the base install takes {total:.0f} MB, over the {MAX_SIZE_MB} allowed")

        print(output(str(folder / "bin" / "umekomi"), "--version"))
        if foreign := output(str(python), "-c", THIRD_PARTY):
            problems.append(f"import umekomi loads other packages: {foreign}")

        start = seconds(python, "pass")
        taken = seconds(python, "import umekomi") - start
        print(f"import umekomi: {taken * 1000:.0f} ms beside {start * 1000:.0f} ms of interpreter start")
        if taken > MAX_IMPORT_S:
            problems.append(f"import umekomi takes {taken:.2f} s, over the {MAX_IMPORT_S} allowed")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
