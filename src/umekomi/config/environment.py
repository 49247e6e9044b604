"""What the environment says. The only reader of ``os.environ``."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def named_config() -> Path | None:
    """The umekomi.yaml that ``$UMEKOMI_CONFIG`` names."""
    named = os.environ.get("UMEKOMI_CONFIG")
    return Path(named) if named else None


def home() -> Path:
    """Folder of the model store: ``$UMEKOMI_HOME``, else the user's data folder by XDG."""
    named = os.environ.get("UMEKOMI_HOME")
    return Path(named).expanduser() if named else Path(platformdirs.user_data_path("umekomi"))


def hub_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids every request to the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def disable_hub_telemetry() -> None:
    """Tell the hub's client, before its first import, not to report more than a request needs.

    By default it names torch's version and the calling program in every request, and fetches a list of programs to
    know them by. A user who sets ``HF_HUB_DISABLE_TELEMETRY`` decides for himself.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def disable_runtime_telemetry() -> None:
    """Tell onnxruntime, before its first import, to send nothing to its makers.

    From 1.29 on its wheels for Linux and macOS report every process, session and graph unless this variable is set
    (microsoft/onnxruntime#27379). The switch in its Python API comes after the first report. A user who sets
    ``ORT_DISABLE_TELEMETRY`` decides for himself.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def api_key() -> str | None:
    """Key for a server that the command line asks, from ``$UMEKOMI_API_KEY``."""
    return os.environ.get("UMEKOMI_API_KEY") or None


def secret(variable: str) -> str | None:
    """The key that umekomi.yaml leaves to the environment variable ``variable``; None where that is unset."""
    return os.environ.get(variable, "").strip() or None
