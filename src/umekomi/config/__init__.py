"""umekomi.yaml and the environment, as frozen settings."""

from __future__ import annotations

from umekomi.config.environment import api_key, disable_hub_telemetry, home, hub_offline, named_config, secret
from umekomi.config.loading import load_settings, parse_settings
from umekomi.config.models import (
    LlamaSettings,
    ModelKind,
    ModelSettings,
    RemoteSettings,
    Replica,
    TokenVocabulary,
    TorchSettings,
)
from umekomi.config.section import Section
from umekomi.config.server import KeySettings, Limits, RequestLogSettings, ServerSettings, TracingSettings
from umekomi.config.settings import (
    CHAT_ENGINE,
    DEFAULT_CHAT_MODEL,
    DEFAULT_MODEL,
    OPENAI_ALIASES,
    OPENAI_CHAT_ALIASES,
    Settings,
    json_schema,
)

__all__ = [
    "CHAT_ENGINE",
    "DEFAULT_CHAT_MODEL",
    "DEFAULT_MODEL",
    "OPENAI_ALIASES",
    "OPENAI_CHAT_ALIASES",
    "KeySettings",
    "Limits",
    "LlamaSettings",
    "ModelKind",
    "ModelSettings",
    "RemoteSettings",
    "Replica",
    "RequestLogSettings",
    "Section",
    "ServerSettings",
    "Settings",
    "TokenVocabulary",
    "TorchSettings",
    "TracingSettings",
    "api_key",
    "disable_hub_telemetry",
    "home",
    "hub_offline",
    "json_schema",
    "load_settings",
    "named_config",
    "parse_settings",
    "secret",
]
