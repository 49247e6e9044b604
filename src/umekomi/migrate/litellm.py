"""LiteLLM's proxy configuration: ``model_list``, fallbacks and aliases, as remote models of ours.

A key that stands in the file is never copied: the model gets the name of an environment variable to put it into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from umekomi.errors import ConfigError
from umekomi.migrate.draft import Draft, Migration, read_yaml
from umekomi.migrate.ledger import Keys, Ledger, as_seconds
from umekomi.migrate.providers import PROVIDERS, Provider

_KINDS = {
    "embedding": "embedding",
    "chat": "chat",
    "completion": "chat",
    "responses": "chat",
    "rerank": "rerank",
}
_ENV = "os.environ/"
_PLACEHOLDERS = {
    "",
    "none",
    "null",
    "empty",
    "dummy",
    "anything",
    "not-needed",
    "no-key",
    "sk-no-key-required",
    "x",
}
_KEYS_INSTEAD = "limits go by key: `umekomi keys create --requests-per-minute --tokens-per-minute`"
_BUILT_IN = "built in: replicas rest after failures, and the least busy one is asked"
_PARAMS = {
    "rpm": _KEYS_INSTEAD,
    "tpm": _KEYS_INSTEAD,
    "max_parallel_requests": _KEYS_INSTEAD,
    "weight": _BUILT_IN,
    "order": "list the models in fallbacks in their order",
    "stream_timeout": "timeout_s holds for streams too, until they begin",
    "api_version": "for Azure only",
    "organization": "a key belongs to an organization already",
}
_INFO = {
    "max_tokens": "the upstream knows its own",
    "max_input_tokens": "the upstream knows its own",
    "max_output_tokens": "the upstream knows its own",
    "base_model": "prices are not counted; `umekomi usage` counts tokens",
    "id": "names a deployment of LiteLLM's",
}
_SETTINGS = {
    "routing_strategy": _BUILT_IN,
    "routing_strategy_args": _BUILT_IN,
    "allowed_fails": _BUILT_IN,
    "cooldown_time": _BUILT_IN,
    "retry_after": _BUILT_IN,
    "enable_pre_call_checks": _BUILT_IN,
    "context_window_fallbacks": "fallbacks are asked after any failure that is not the client's",
    "content_policy_fallbacks": "fallbacks are asked after any failure that is not the client's",
    "redis_host": "no server beside umekomi is needed",
    "redis_port": "no server beside umekomi is needed",
    "redis_password": "no server beside umekomi is needed",
    "drop_params": "parameters are passed on as they are",
    "set_verbose": "log levels are the server's",
    "callbacks": "see request_log and GET /metrics",
    "success_callback": "see request_log and GET /metrics",
    "failure_callback": "see request_log and GET /metrics",
    "cache": "there is no cache of answers",
    "cache_params": "there is no cache of answers",
    "master_key": "not copied; `umekomi keys create` makes keys",
    "database_url": "keys and usage are in a file of umekomi's own",
    "alerting": "see GET /metrics",
}


def read_litellm(path: Path) -> Migration:
    """The models of a LiteLLM ``config.yaml``. Raises `ConfigError` where it cannot be read or is none."""
    documents = read_yaml(path)
    content = documents[0] if documents else None
    if not isinstance(content, Mapping) or not isinstance(content.get("model_list"), list):
        raise ConfigError(f"{path}: no model_list in it; name the config.yaml that LiteLLM's proxy is started with")
    ledger = Ledger()
    draft = Draft(ledger)
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in content["model_list"]:
        if isinstance(entry, Mapping) and isinstance(entry.get("model_name"), str):
            _read_entry(entry, groups, ledger)
        else:
            ledger.leave("model_list", "model_name", "an entry without a name")
    top = Keys(content, place=path.name, ledger=ledger)
    sections = [each for name in ("router_settings", "litellm_settings") if (each := top.section(name))]
    _read_shared(sections, groups)
    for name, replicas in groups.items():
        draft.add(_model(name, replicas), place=name)
    _read_names(sections, draft)
    for section in sections:
        section.leave_rest(_SETTINGS)
    _leave_others(top)
    return draft.finish()


def _read_entry(entry: Mapping[Any, Any], groups: dict[str, list[dict[str, Any]]], ledger: Ledger) -> None:
    """One deployment; those of the same name become replicas of one model."""
    name = entry["model_name"]
    keys = Keys(entry, place=name, ledger=ledger)
    params = keys.section("litellm_params") or Keys({}, place=name, ledger=ledger)
    info = keys.section("model_info") or Keys({}, place=name, ledger=ledger)
    replica: dict[str, Any] = {}
    why = _read_upstream(name, params, info, replica)
    if why:
        for part in (params, info, keys):
            part.leave_rest(otherwise=f"this deployment is left out: {why}")
        return
    keys.carry("model_name", f"name: {name}")
    for key in ("timeout", "max_retries", "num_retries") if name in groups else ():
        params.leave(key, "one for all servers of a model: its first deployment's, else that of the router")
    params.move("timeout", as_seconds, into=replica, to="timeout_s")
    for key in ("max_retries", "num_retries"):
        params.move(key, _retries, into=replica, to="max_retries")
    params.leave_rest(_PARAMS, otherwise="clients send it with each request, or umekomi has no such setting")
    info.leave_rest(_INFO)
    keys.leave_rest(_PARAMS)
    groups.setdefault(name, []).append(replica)


def _read_upstream(name: str, params: Keys, info: Keys, replica: dict[str, Any]) -> str | None:
    """Fill in whom to ask, and with which key. Returns why that is impossible, or None."""
    provider_name, upstream = _split(params)
    provider = PROVIDERS.get(provider_name)
    mode: Any = info.get("mode")
    if "*" in name:
        return "umekomi serves models by their whole names"
    if not upstream:
        return "litellm_params.model names no model, or leaves it to the environment"
    if provider is None:
        return f"the provider '{provider_name}' is not one that umekomi knows to speak OpenAI's protocol"
    if mode is not None and mode not in _KINDS:
        return f"umekomi serves text models only, not {mode}"
    base = params.get("api_base") or params.get("base_url")
    if isinstance(base, str) and base.startswith(_ENV):
        return f"its address stands in the environment ({base.removeprefix(_ENV)}); write it into the file"
    address = _address(base, provider)
    if address is None:
        return f"the provider '{provider_name}' needs an api_base"
    replica |= {"base_url": address, "model": upstream}
    params.carry("model", f"remote.model: {upstream}")
    params.settle("custom_llm_provider")
    for key in ("api_base", "base_url"):
        params.carry(key, "remote.base_url")
    if mode is not None:
        replica["kind"] = _KINDS[mode]
        info.carry("mode", f"kind: {_KINDS[mode]}")
    _read_key(name, params, provider, replica)
    return None


def _split(params: Keys) -> tuple[str, str]:
    """``provider/model`` in two; without a known provider, LiteLLM takes it for OpenAI's."""
    model = params.get("model")
    model = model.strip() if isinstance(model, str) and not model.startswith(_ENV) else ""
    given = params.get("custom_llm_provider")
    if isinstance(given, str) and given:
        return given, model.removeprefix(f"{given}/")
    provider, slash, rest = model.partition("/")
    return (provider, rest) if slash else ("openai", model)


def _address(base: object, provider: Provider) -> str | None:
    if not isinstance(base, str) or not base.strip():
        return provider.base_url
    base = base.strip().rstrip("/")
    return base if base.endswith(provider.path) else base + provider.path


def _read_key(name: str, params: Keys, provider: Provider, replica: dict[str, Any]) -> None:
    key = params.get("api_key")
    if key is None:
        if provider.key_env and replica["base_url"] == provider.base_url:
            replica["api_key_env"] = provider.key_env
        return
    variable = str(key).removeprefix(_ENV)
    if str(key).startswith(_ENV) and re.fullmatch(r"[A-Za-z_]\w*", variable, re.ASCII):
        replica["api_key_env"] = variable
        params.carry("api_key", f"remote.api_key_env: {variable}")
    elif str(key).strip().lower() in _PLACEHOLDERS:
        params.leave("api_key", "a placeholder; no key is sent")
    else:
        replica["api_key_env"] = _variable(name)
        params.leave("api_key", f"keys are not copied; put it into the environment variable {_variable(name)}")


def _variable(name: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper()
    return f"UMEKOMI_{words or 'UPSTREAM'}_KEY"


def _read_shared(sections: list[Keys], groups: dict[str, list[dict[str, Any]]]) -> None:
    """Settings of the router that are each model's own here, unless the model says otherwise."""
    for section in sections:
        shared: dict[str, Any] = {}
        section.move("num_retries", _retries, into=shared, to="max_retries")
        for key in ("timeout", "request_timeout"):
            section.move(key, as_seconds, into=shared, to="timeout_s")
        for replicas in groups.values():
            for replica in replicas:
                replica.update(shared | replica)


def _model(name: str, replicas: list[dict[str, Any]]) -> dict[str, Any]:
    first, *others = replicas
    model: dict[str, Any] = {"name": name}
    if kinds := [each["kind"] for each in replicas if "kind" in each]:
        model["kind"] = kinds[0]
    model["remote"] = {key: first[key] for key in _REMOTE if key in first}
    if others:
        model["remote"]["replicas"] = [{key: each[key] for key in _REPLICA if key in each} for each in others]
    return model


_REPLICA = ("base_url", "model", "api_key_env")
_REMOTE = (*_REPLICA, "timeout_s", "max_retries")


def _read_names(sections: list[Keys], draft: Draft) -> None:
    """Aliases first, since fallbacks may name them."""
    for section in sections:
        for key in ("model_group_alias", "model_alias_map"):
            aliases = section.get(key)
            for alias, target in aliases.items() if isinstance(aliases, Mapping) else ():
                model = target.get("model") if isinstance(target, Mapping) else target
                draft.add_alias(str(alias), str(model), place=section.place, key=section.full(key))
                section.settle(key)
    for section in sections:
        for name, fallbacks in _fallbacks(section.get("fallbacks")):
            draft.add_fallbacks(name, fallbacks, place=section.place, key=section.full("fallbacks"))
            section.settle("fallbacks")
    for section in sections:
        default = section.get("default_fallbacks")
        for model in draft.models() if isinstance(default, list) else ():
            if not model.get("fallbacks"):
                others = [str(each) for each in default if draft.find(str(each)) is not model]
                draft.add_fallbacks(
                    model["name"], others, place=section.place, key=section.full("default_fallbacks")
                )
            section.settle("default_fallbacks")


def _fallbacks(listed: Any) -> Iterator[tuple[str, list[str]]]:
    """Pairs from ``[{"gpt-4": ["a", "b"]}, …]``, or from one mapping."""
    for each in listed if isinstance(listed, list) else [listed]:
        for name, fallbacks in each.items() if isinstance(each, Mapping) else ():
            yield str(name), [str(one) for one in (fallbacks if isinstance(fallbacks, list) else [fallbacks])]


def _leave_others(top: Keys) -> None:
    top.settle("model_list")
    if general := top.section("general_settings"):
        general.leave_rest(_SETTINGS)
    if variables := top.section("environment_variables"):
        variables.leave_rest(otherwise="set it in the environment of the server")
    top.leave_rest(_SETTINGS)


def _retries(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10:
        raise ValueError("not a number of retries from 0 to 10")
    return value
