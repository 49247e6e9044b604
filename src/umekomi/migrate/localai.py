"""LocalAI's model files: a folder of ``*.yaml``, or one file with a model or a list of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from umekomi.errors import ConfigError
from umekomi.migrate.draft import Draft, Migration, read_yaml
from umekomi.migrate.ledger import Keys, Ledger, as_count, as_flag, as_layers, as_seconds, as_text
from umekomi.models.names import find_path

_EMBEDDING_BACKENDS = {"sentencetransformers", "sentence-transformers", "huggingface-embeddings", "bert-embeddings"}
_RERANK_BACKENDS = {"rerankers", "reranker"}
_HUB_SCHEMES = ("huggingface://", "hf://")

_PER_REQUEST = "clients send it with each request"
_LAYOUT = "llama.cpp decides by itself"
_PARAMETERS = {
    "seed": _PER_REQUEST,
    "batch": _LAYOUT,
    "language": "for speech; umekomi serves text models",
}
_REASONS = {
    "stopwords": _PER_REQUEST,
    "system_prompt": _PER_REQUEST,
    "grammar": _PER_REQUEST,
    "function": "tools are passed to the model's own chat template",
    "roles": "the model's own chat template names the roles",
    "description": "a description, without effect",
    "usage": "a description, without effect",
    "mmap": _LAYOUT,
    "mmlock": _LAYOUT,
    "low_vram": _LAYOUT,
    "numa": _LAYOUT,
    "cuda": "the engine uses a GPU where there is one; see llama.n_gpu_layers",
    "main_gpu": _LAYOUT,
    "tensor_split": _LAYOUT,
    "debug": "log levels are the server's",
    "download_files": "umekomi fetches hub models by itself; other files are yours to fetch",
    "concurrency_groups": "set single_active for one model in memory at a time, or memory_budget_bytes",
    "env": "set it in the environment of the server",
    "trust_remote_code": "umekomi runs no code of a model",
}


def read_localai(path: Path, *, models_folder: Path | None = None) -> Migration:
    """The models that ``path`` configures. GGUF files are looked for in ``models_folder``, else beside the file.

    Raises `ConfigError` where ``path`` cannot be read or holds no model.
    """
    ledger = Ledger()
    draft = Draft(ledger)
    later: list[Keys] = []
    for keys in _models(path, ledger):
        folder = models_folder or (path if path.is_dir() else path.parent)
        if keys.get("alias") is not None or keys.get("failover") is not None:
            later.append(keys)
        else:
            _read_model(keys, draft, folder.absolute())
    for keys in later:
        _read_redirect(keys, draft)
    return draft.finish()


def _models(path: Path, ledger: Ledger) -> Iterator[Keys]:
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml") and each.is_file())
        if not files:
            raise ConfigError(
                f"{path}: no .yaml file in this folder; name LocalAI's models folder or its config file"
            )
    for file in files:
        for document in read_yaml(file):
            for content in document if isinstance(document, list) else [document]:
                if isinstance(content, Mapping) and content.get("name"):
                    yield Keys(content, place=str(content["name"]), ledger=ledger)
                else:
                    ledger.leave(file.name, "name", "a part without a name is no model")


def _read_model(keys: Keys, draft: Draft, folder: Path) -> None:
    model: dict[str, Any] = {}
    keys.move("name", as_text, into=model, to="name")
    if why := _unfit(keys):
        keys.leave_rest(otherwise=f"the model is left out: {why}")
        return
    if keys.get("proxy") is not None:
        _read_proxy(keys, model)
    else:
        _read_local(keys, model, folder, draft)
    keys.move("pinned", as_flag, into=model, to="pinned")
    keys.leave("disabled", "the model is served; delete it from umekomi.yaml to leave it out")
    keys.leave_rest(_REASONS)
    draft.add(model, place=keys.place)


def _unfit(keys: Keys) -> str | None:
    """Why a model cannot be served, or None."""
    if keys.get("disabled") is True:
        return "it is disabled"
    proxy = keys.get("proxy")
    if isinstance(proxy, Mapping):
        if proxy.get("provider", "openai") != "openai":
            return "its upstream does not speak OpenAI's protocol"
        return None if _base_url(proxy.get("upstream_url")) else "proxy.upstream_url is not an OpenAI endpoint"
    file = _model_file(keys)
    if not file:
        return "parameters.model names no model"
    if _is_gguf(file) or (_kind(keys) != "chat" and ("://" not in file or file.startswith(_HUB_SCHEMES))):
        return None
    if _kind(keys) != "chat":
        return f"{file} is an address; fetch the model, and name its folder"
    backend = keys.get("backend") or "none"
    return f"backend {backend} with {file}: umekomi runs chat from GGUF files, and embedding and rerank models"


def _read_local(keys: Keys, model: dict[str, Any], folder: Path, draft: Draft) -> None:
    kind, file = _kind(keys), _model_file(keys)
    model["kind"] = kind
    for key in ("backend", "embeddings", "reranking", "known_usecases"):
        keys.carry(key, f"kind: {kind}")
    parameters = keys.section("parameters")
    assert parameters is not None
    model["source"] = _source(file, folder)
    parameters.carry("model", f"source: {model['source']}")
    if _is_gguf(file):
        if find_path(model["source"]) is None:
            parameters.ledger.leave(keys.place, "parameters.model", f"note: there is no file {model['source']} now")
        _read_llama(keys, parameters, model)
    else:
        _read_embedding(keys, draft)
    parameters.leave_rest(_PARAMETERS, otherwise=_PER_REQUEST)


def _read_llama(keys: Keys, parameters: Keys, model: dict[str, Any]) -> None:
    keys.move("context_size", as_count, into=model, to="llama.ctx_size")
    keys.move("gpu_layers", as_layers, into=model, to="llama.n_gpu_layers")
    keys.move("threads", as_count, into=model, to="llama.threads")
    keys.move("flash_attention", _flash_attention, into=model, to="llama.flash_attn")
    parameters.move("pooling", _pooling, into=model, to="llama.pooling")
    if keys.get("f16") is True:
        keys.carry("f16", "nothing to set: llama.cpp keeps its cache in 16 bits by itself")
    keys.leave("f16", "llama.cpp keeps its cache in 16 bits")
    if (template := keys.section("template")) is not None:
        if template.get("use_tokenizer_template") is True:
            template.carry("use_tokenizer_template", "nothing to set: the model's own chat template is used")
        template.leave_rest(
            otherwise="a Go template; the model's own is used, or a Jinja one from llama.chat_template"
        )
    if isinstance(options := keys.get("options"), list):
        _read_options(keys, options, model)


def _read_options(keys: Keys, options: list[Any], model: dict[str, Any]) -> None:
    """``options``: texts such as ``parallel:4``."""
    content = dict(str(option).partition(":")[::2] for option in options)
    each = Keys(content, place=keys.place, ledger=keys.ledger, prefix="options.")
    for name in ("parallel", "n_parallel"):
        each.move(name, as_count, into=model, to="llama.parallel")
    for name in ("pooling", "pooling_type"):
        each.move(name, _pooling, into=model, to="llama.pooling")
    for name in ("use_jinja", "jinja"):
        each.carry(name, "nothing to set: chat templates are Jinja")
    each.leave_rest(otherwise="no option of llama.cpp that umekomi passes on")
    keys.settle("options")


def _read_embedding(keys: Keys, draft: Draft) -> None:
    try:
        threads = as_count(keys.get("threads"))
    except ValueError:
        keys.leave("threads", "not a whole number from 1 on")
    else:
        draft.settings["threads"] = max(threads, draft.settings.get("threads", 1))
        keys.carry("threads", f"threads, of the whole server: {draft.settings['threads']}")
    keys.leave("context_size", "the model's own context is used")
    keys.leave("f16", "embeddings run in fp32 on a CPU; set precision: int8 for speed")
    keys.leave("gpu_layers", "for GGUF files only")


def _read_proxy(keys: Keys, model: dict[str, Any]) -> None:
    proxy = keys.section("proxy")
    assert proxy is not None
    proxy.move("upstream_url", _base_url, into=model, to="remote.base_url")
    proxy.move("upstream_model", as_text, into=model, to="remote.model")
    proxy.move("api_key_env", as_text, into=model, to="remote.api_key_env")
    proxy.move("request_timeout_seconds", as_seconds, into=model, to="remote.timeout_s")
    proxy.carry("provider", "nothing to set: remote models speak OpenAI's protocol")
    proxy.leave("api_key_file", "keys come from the environment; name the variable in remote.api_key_env")
    proxy.leave_rest()
    keys.carry("backend", "remote")


def _read_redirect(keys: Keys, draft: Draft) -> None:
    """An alias, or a chain of models to fall back on, which is an alias of its first."""
    name = str(keys.get("name"))
    alias, failover = keys.get("alias"), keys.get("failover")
    targets = [alias]
    if isinstance(failover, Mapping) and isinstance(failover.get("targets"), list):
        targets = [target.get("model") for target in failover["targets"] if isinstance(target, Mapping)]
    names = [str(target) for target in targets if target]
    keys.settle("name")
    for key in ("alias", "failover"):
        if keys.get(key) is not None and names:
            draft.add_alias(name, names[0], place=keys.place, key=key)
            draft.add_fallbacks(names[0], names[1:], place=keys.place, key=key)
            keys.settle(key)
    keys.leave_rest(otherwise="LocalAI ignores it beside an alias")


def _model_file(keys: Keys) -> str:
    parameters = keys.get("parameters")
    file = parameters.get("model") if isinstance(parameters, Mapping) else None
    return str(file or "").strip()


def _is_gguf(file: str) -> bool:
    return file.lower().endswith(".gguf")


def _kind(keys: Keys) -> str:
    listed = keys.get("known_usecases")
    usecases = {str(each).lower().removeprefix("flag_") for each in (listed if isinstance(listed, list) else ())}
    backend = str(keys.get("backend") or "").lower()
    if backend in _RERANK_BACKENDS or keys.get("reranking") is True or "rerank" in usecases:
        return "rerank"
    embeds = keys.get("embeddings") is True or backend in _EMBEDDING_BACKENDS or "embeddings" in usecases
    return "embedding" if embeds else "chat"


def _source(file: str, folder: Path) -> str:
    """A path for a GGUF file, else a folder or a hub id; a bare name as sentence-transformers takes it."""
    if _is_gguf(file):
        return str(folder / (file.rpartition("/")[2] if "://" in file else file))
    for scheme in _HUB_SCHEMES:
        file = file.removeprefix(scheme)
    if (path := find_path(str(folder / file))) and path.is_dir():
        return str(path)
    return file if "/" in file else f"sentence-transformers/{file}"


def _base_url(endpoint: Any) -> str:
    """``https://host/v1/chat/completions`` without what follows /v1; empty where that is not what it is."""
    text = endpoint if isinstance(endpoint, str) else ""
    address, _, _ = text.partition("/v1/")
    return f"{address}/v1" if "/v1/" in text and urlsplit(address).netloc else ""


def _flash_attention(value: Any) -> str:
    word = {"true": "on", "false": "off"}.get(str(value).lower(), value)
    if word not in ("on", "off", "auto"):
        raise ValueError("neither on, off nor auto")
    return str(word)


def _pooling(value: Any) -> str:
    if value not in ("mean", "cls", "last"):
        raise ValueError("not a pooling that umekomi has: mean, cls or last")
    return str(value)
