"""What may be imported where, and when: the part that a static reading by import-linter cannot see."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from kit.source import calls, is_within, modules

HEAVY = {
    "accelerate",
    "datasets",
    "httpx",
    "huggingface_hub",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "openTSNE",
    "pandas",
    "peft",
    "plotly",
    "prometheus_client",
    "pyarrow",
    "ray",
    "scipy",
    "sentence_transformers",
    "sentencepiece",
    "sklearn",
    "starlette",
    "tensorboardX",
    "tokenizers",
    "torch",
    "transformers",
    "umap",
    "uvicorn",
    "xllamacpp",
}
"""Not numpy: the shared types name its arrays, and it loads in some 50 ms."""

HOMES = {
    "torch": ("umekomi.train", "umekomi.engines.torch"),
    "transformers": ("umekomi.train", "umekomi.engines.torch"),
    "sentence_transformers": ("umekomi.train", "umekomi.engines.torch"),
    "accelerate": ("umekomi.train",),
    "datasets": ("umekomi.train",),
    "peft": ("umekomi.train",),
    "tensorboardX": ("umekomi.train",),
    "starlette": ("umekomi.serve", "umekomi.cli.serve"),
    "uvicorn": ("umekomi.serve", "umekomi.cli.serve"),
    "onnx": ("umekomi.engines.onnx",),
    "onnxruntime": ("umekomi.engines.onnx",),
    "xllamacpp": ("umekomi.engines.llama_cpp",),
    "ray": ("umekomi.cluster",),
}
"""Where a package may be imported by name while running (``require``, ``import_module``)."""


def loaded_by(code: str) -> set[str]:
    """Top-level names in ``sys.modules`` after a fresh interpreter has run ``code``."""
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_but_the_standard_library() -> None:
    foreign = loaded_by("import umekomi") - loaded_by("pass") - sys.stdlib_module_names
    assert foreign == {"umekomi"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["serve", "--help"], ["embed", "--help"], ["train", "--help"]]
)
def test_asking_for_help_loads_no_heavy_module(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['umekomi', *{arguments!r}]\n"
        "from umekomi.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert not loaded_by(code) & HEAVY


def test_public_names_exist() -> None:
    code = "import umekomi\nfor name in umekomi.__all__: getattr(umekomi, name)"
    assert "umekomi" in loaded_by(code)


def imported_by_name(tree: ast.Module) -> set[str]:
    """Top-level packages that a module asks for with a constant string while running."""
    return {
        call.args[0].value.partition(".")[0]
        for name, call in calls(tree)
        if name.rpartition(".")[2] in {"require", "import_module", "__import__"}
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_a_runtime_is_imported_in_its_home_only() -> None:
    strays = {
        f"{module} imports {package}"
        for module, tree in modules().items()
        for package in imported_by_name(tree)
        if package in HOMES and not is_within(module, HOMES[package])
    }
    assert not strays


def test_every_engine_of_the_registry_can_be_imported() -> None:
    from importlib import import_module

    from umekomi.engines.registry import ENGINES

    for door in ENGINES.values():
        module, _, function = door.partition(":")
        assert callable(getattr(import_module(module), function)), door
