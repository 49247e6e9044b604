"""Models that other servers run: any server that speaks OpenAI's protocol, as a model of ours.

Unlike the other engines it is asynchronous, because all it does is wait; see docs/design/011-remote-models.md.
"""

from __future__ import annotations

from umekomi.config import ModelSettings, RemoteSettings, Replica, secret
from umekomi.engines.remote.address import Address
from umekomi.engines.remote.model import RemoteModel
from umekomi.engines.remote.replica import Replica as Server
from umekomi.engines.remote.upstream import Patience, Upstream
from umekomi.errors import ConfigError

__all__ = ["RemoteModel", "open_remote"]


def open_remote(settings: ModelSettings) -> RemoteModel:
    """The model that ``settings.remote`` describes. Asks nothing of its servers yet.

    Raises `ConfigError` where the environment lacks a key that the settings name.
    """
    remote = settings.remote
    assert remote is not None
    inherited = remote.model or settings.name
    servers = [
        _server(number, place, inherited=inherited, model=settings.name)
        for number, place in enumerate(remote.servers)
    ]
    patience = Patience(begin_s=remote.timeout_s, stall_s=remote.stall_timeout_s)
    upstream = Upstream(settings.name, servers, patience=patience, max_retries=remote.max_retries)
    capability = None if settings.kind == "auto" else settings.kind
    return RemoteModel(upstream, capability=capability, prompts=dict[str, str](settings.prompts.items()))


def _server(number: int, place: RemoteSettings | Replica, *, inherited: str, model: str) -> Server:
    key = None
    if place.api_key_env is not None and (key := secret(place.api_key_env)) is None:
        raise ConfigError(
            f"the model '{model}' needs a key for {place.base_url}, and the environment variable "
            f"{place.api_key_env} is not set"
        )
    return Server(number, Address.of(place.base_url, key=key), place.model or inherited, key)
