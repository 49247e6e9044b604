"""FastChat's command lines: a controller, model workers and an API server become one server of ours."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from umekomi.errors import ConfigError
from umekomi.migrate.draft import Draft, Migration
from umekomi.migrate.ledger import Keys, Ledger, as_count
from umekomi.models.names import find_path

_PROGRAM = re.compile(r"(?:.*[./\\])?fastchat[./\\]serve[./\\](\w+?)(?:\.py)?")
_WORKERS = {"model_worker", "multi_model_worker", "vllm_worker", "sglang_worker", "lightllm_worker", "mlx_worker"}
_CHAT_NAMES = re.compile(r"^gpt-|^text-davinci|chat|instruct|vicuna", re.IGNORECASE)

_FLAGS = {
    "model-path": ("model",),
    "model-names": ("model-name",),
    "host": (),
    "port": (),
    "device": (),
    "num-gpus": (),
    "revision": (),
    "embed-in-truncate": (),
    "worker-address": (),
    "controller-address": (),
    "limit-worker-concurrency": ("limit-model-concurrency",),
    "conv-template": (),
    "load-8bit": (),
    "dtype": (),
    "max-gpu-memory": (),
    "cpu-offloading": (),
    "stream-interval": (),
    "no-register": (),
    "api-keys": (),
    "gpus": (),
}
"""The flags with a meaning or a reason of their own, and older spellings. Like argparse, a unique start will do."""

_ONE_PROCESS = "one process has no controller and no workers"
_DEVICE = "the engine uses a GPU where there is one"
_REASONS = {
    "worker-address": _ONE_PROCESS,
    "controller-address": _ONE_PROCESS,
    "no-register": _ONE_PROCESS,
    "dispatch-method": _ONE_PROCESS,
    "device": _DEVICE,
    "num-gpus": _DEVICE,
    "gpus": "set CUDA_VISIBLE_DEVICES for the server",
    "max-gpu-memory": "see memory_budget_bytes",
    "cpu-offloading": _DEVICE,
    "dtype": "fp32 on a CPU, 16 bits on a GPU",
    "load-8bit": "set precision: int8 where the engine has it",
    "limit-worker-concurrency": "requests run in batches; limits.max_queued_tokens bounds what waits",
    "conv-template": "the model's own chat template is used",
    "stream-interval": "every token is streamed",
    "api-keys": "not copied; `umekomi keys create` makes keys",
    "seed": "clients send it with each request",
    "debug": "log levels are the server's",
    "ssl": "put a reverse proxy with TLS in front",
    "allow-credentials": "CORS is off",
    "allowed-origins": "CORS is off",
    "allowed-methods": "CORS is off",
    "allowed-headers": "CORS is off",
}


_TRUNCATES = (
    "encoders cut long texts anyway; for a model made for generating text, set torch: {long_texts: cut}, or it "
    "reads them in pieces, as FastChat does without this flag"
)


@dataclass(slots=True)
class _Command:
    """One program of FastChat's: ``model_worker``, its flags with their values, and variables set for it."""

    program: str
    flags: dict[str, list[str]] = field(default_factory=dict)
    variables: list[str] = field(default_factory=list)


def read_fastchat(words: Sequence[str]) -> Migration:
    """What the command lines in ``words`` serve: words as a shell splits them, or whole lines.

    Raises `ConfigError` where none of them starts a program of FastChat's.
    """
    commands = list(_commands(words))
    if not commands:
        raise ConfigError("no command of FastChat's; give for example: python3 -m fastchat.serve.model_worker …")
    ledger = Ledger()
    draft = Draft(ledger)
    for command in commands:
        keys = Keys(command.flags, place=command.program, ledger=ledger, prefix="--")
        for variable in command.variables:
            ledger.leave(command.program, variable, "set it in the environment of the server")
        if command.program in _WORKERS:
            _read_worker(keys, draft)
        elif command.program == "openai_api_server":
            _read_server(keys, draft)
        elif command.program != "controller":
            ledger.leave(command.program, "the whole command", "no part of an API server")
        keys.leave("host", _ONE_PROCESS)
        keys.leave("port", _ONE_PROCESS)
        keys.leave_rest(_REASONS)
    return draft.finish()


def _read_worker(keys: Keys, draft: Draft) -> None:
    paths: list[str] = keys.get("model-path") or []
    if not paths:
        keys.leave_rest(otherwise="the worker is left out: it names no --model-path")
        return
    lists = [names.split(",") for names in keys.get("model-names") or ()]
    for number, path in enumerate(paths):
        if "$" in path:
            keys.ledger.leave(keys.place, "--model-path", f"{path}: a variable of the shell; give its value")
            continue
        names = [name.strip() for name in (lists[number] if number < len(lists) else []) if name.strip()]
        model = _model(keys, path, names or [path.rstrip("/").rpartition("/")[2]])
        if draft.add(model, place=keys.place):
            keys.ledger.carry(keys.place, "--model-path", f"source: {model['source']} ({model['kind']})")
            keys.ledger.carry(keys.place, "--model-names", f"name: {model['name']}")
        if model["kind"] == "embedding" and any(map(_CHAT_NAMES.search, names)):
            keys.ledger.leave(
                keys.place,
                "--model-names",
                "chat from these weights: chat runs from GGUF files; this is for embeddings",
            )
    keys.settle("model-path", "model-names", "revision")
    keys.leave("embed-in-truncate", _TRUNCATES)


def _model(keys: Keys, path: str, names: list[str]) -> dict[str, Any]:
    """A worker serves chat and embeddings of the same weights; here a model is for one of them."""
    gguf = path.lower().endswith(".gguf")
    model: dict[str, Any] = {"name": names[0], "source": _source(path, keys.get("revision"))}
    model["kind"] = "chat" if gguf else "embedding"
    if len(names) > 1:
        model["aliases"] = names[1:]
    return model


def _source(path: str, revision: list[str] | None) -> str:
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:  # no home folder for that user
        expanded = Path(path)
    if find_path(path) or path.startswith(("/", "~", ".")):
        return str(expanded.absolute())
    return f"{path}@{revision[0]}" if revision and revision[0] != "main" and "/" in path else path


def _read_server(keys: Keys, draft: Draft) -> None:
    keys.move("port", lambda port: as_count(port[0] if port else None), into=draft.settings, to="server.port")
    keys.move("host", _host, into=draft.settings, to="server.host")
    host = draft.settings.get("server", {}).get("host", "127.0.0.1")
    if host not in ("127.0.0.1", "::1"):
        keys.ledger.leave(
            keys.place, "--host", "note: others can reach it; make keys with `umekomi keys create` first"
        )


def _host(values: list[str]) -> str:
    if not values or not values[0].strip():
        raise ValueError("no address")
    return "127.0.0.1" if values[0] == "localhost" else values[0]


def _commands(words: Sequence[str]) -> Iterator[_Command]:
    """FastChat's commands among the words; what else a script does is passed over."""
    for command in _split(words):
        for place, word in enumerate(command):
            if found := _PROGRAM.fullmatch(word):
                variables = [each.partition("=")[0] for each in command[:place] if re.match(r"[A-Za-z_]\w*=", each)]
                yield _Command(found[1], _flags(command[place + 1 :]), variables)
                break


def _split(words: Sequence[str]) -> Iterator[list[str]]:
    """Single commands: at the operators of a shell, and where a further Python starts."""
    command: list[str] = []
    for word in _shell_words(words):
        starts = re.fullmatch(r"(?:.*/)?python[\d.]*", word) and any(_PROGRAM.fullmatch(each) for each in command)
        if starts or (word and not word.strip("&|;()")):
            yield command
            command = []
        if word.strip("&|;()") or not word:
            command.append(word)
    yield command


def _shell_words(words: Sequence[str]) -> Iterator[str]:
    """Words as they are; what holds spaces is a line or a script, and split as a shell does."""
    for word in words:
        if not re.search(r"\s", word):
            yield word
            continue
        for line in word.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;()<>")
            lexer.whitespace_split = True
            try:
                yield from [*lexer, ";"]
            except ValueError as error:
                if "fastchat" in line:
                    raise ConfigError(f"a command line cannot be split into words: {error}: {line[:80]}") from None


def _flags(words: Sequence[str]) -> dict[str, list[str]]:
    """``--flag value …`` and ``--flag=value`` by the flag's full name; ends where output is redirected."""
    flags: dict[str, list[str]] = {}
    name = None
    for word in words:
        if re.fullmatch(r"\d*[<>]+&?.*", word):
            break
        if word.startswith("--"):
            given, assigned, value = word[2:].partition("=")
            name = _full_name(given)
            flags.setdefault(name, [])
            if assigned:
                flags[name].append(value)
        elif name is not None:
            flags[name].append(word)
    return flags


def _full_name(given: str) -> str:
    given = given.replace("_", "-")
    for name, others in _FLAGS.items():
        if given == name or given in others:
            return name
    starts = [name for name in (*_FLAGS, *_REASONS) if name.startswith(given)]
    return starts[0] if len(set(starts)) == 1 else given
