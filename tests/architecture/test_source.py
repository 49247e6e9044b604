"""Rules that every module keeps: one reader of the environment, no running of a stranger's data, plain names."""

from __future__ import annotations

import ast

import pytest

from kit.source import calls, dotted_name, imported, modules

ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv"}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
VAGUE_NAMES = {"util", "utils", "common", "helper", "helpers", "manager", "handler", "misc", "base_classes"}
MAX_POSITIONAL = 4

MODULES = list(modules().items())
every_module = pytest.mark.parametrize(("name", "tree"), MODULES, ids=[name for name, _ in MODULES])


@every_module
def test_a_module_opens_with_a_sentence_on_its_job(name: str, tree: ast.Module) -> None:
    assert ast.get_docstring(tree)


@every_module
def test_the_environment_is_read_in_one_place_only(name: str, tree: ast.Module) -> None:
    used = {dotted_name(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | imported(tree)
    assert name == "umekomi.config.environment" or used.isdisjoint(ENVIRONMENT)


@every_module
def test_nothing_runs_what_a_file_or_a_caller_brought(name: str, tree: ast.Module) -> None:
    assert {module.partition(".")[0] for module in imported(tree)}.isdisjoint(UNSAFE_MODULES)
    for called, call in calls(tree):
        arguments = {keyword.arg: keyword.value for keyword in call.keywords}
        assert called not in UNSAFE_CALLS
        assert not is_true(arguments.get("shell"))
        assert not is_true(arguments.get("trust_remote_code"))
        assert not is_true(arguments.get("allow_pickle"))
        if called == "torch.load":
            assert is_true(arguments.get("weights_only"))


def is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


@every_module
def test_names_say_what_a_module_or_class_is(name: str, tree: ast.Module) -> None:
    assert VAGUE_NAMES.isdisjoint(name.split("."))
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert not [each for each in classes if each.startswith("Base") or each.endswith(("Manager", "Handler"))]


@every_module
def test_a_function_takes_few_positional_parameters(name: str, tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_command(name):
            positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in {"self", "cls"}]
            assert len(positional) <= MAX_POSITIONAL, node.name


def is_command(name: str) -> bool:
    """Whether Typer reads the signatures of a module as flags: their order there is the order of ``--help``."""
    return name.startswith("umekomi.cli.")
