"""Where torch computes, and in which number format."""

from __future__ import annotations

import threading
from typing import Any, Literal

from umekomi.errors import ConfigError
from umekomi.extras import require
from umekomi.types import NumberFormat

COMPUTING = threading.Lock()
"""Held by whatever computes, in any model: torch spreads one computation over all cores by itself, and modules may
keep tables that they grow. Held while a model is loaded in half precision, too: the library then sets the number
format of new tensors for the whole process, and another model would compute with a wrong one."""


def choose_device(name: str) -> Any:
    """The ``torch.device`` of this name. Raises `ConfigError` where there is none, and `MissingExtra`."""
    torch = require("torch", extra="train")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except Exception as error:  # torch's errors for a missing device share no base class
        reason = str(error).partition("\n")[0][:200]
        raise ConfigError(f"device is '{name}', which cannot be used here: {reason}; leave it out") from None
    if device.type == "meta":
        raise ConfigError("device is 'meta', which computes nothing; leave it out")
    return device


def choose_number_format(dtype: NumberFormat | Literal["auto"], device: Any) -> NumberFormat:
    """What ``auto`` means on ``device``: half the memory and far more speed on a GPU, and exact on a CPU."""
    if dtype != "auto":
        return dtype
    if device.type != "cuda":
        return "fp32"
    torch = require("torch", extra="train")
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def torch_dtype(number_format: NumberFormat) -> Any:
    torch = require("torch", extra="train")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[number_format]


def set_threads(threads: int | None) -> None:
    """Threads that one computation on the CPU uses; all cores where it is None. torch has one number for all models
    of a process, so that the last one opened decides."""
    if threads is not None:
        require("torch", extra="train").set_num_threads(threads)
