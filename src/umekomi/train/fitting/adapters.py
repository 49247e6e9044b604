"""LoRA (https://arxiv.org/abs/2106.09685): small matrices beside linear layers are trained, and merged."""

from __future__ import annotations

from typing import Any

from umekomi.errors import UnsupportedModel
from umekomi.extras import require

_LORA = "lora_"
_WRAPPED = ".base_layer."


def add_adapters(model: Any, *, rank: int) -> None:
    """Put adapters of ``rank`` beside every linear layer of the transformer, and freeze all else of it.

    Twice the rank as alpha, so that the step's size does not depend on it. Raises `UnsupportedModel`.
    """
    peft = require("peft", extra="train")
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
    try:
        transformer_of(model).add_adapter(config)
    except (ValueError, NotImplementedError) as error:
        raise UnsupportedModel(f"LoRA does not fit this model: {' '.join(str(error).split())[:200]}") from None


def merged_state(model: Any) -> dict[str, Any]:
    """The weights of ``model`` by their names without adapters, what these learned added in. Changes ``model``."""
    tuners = require("peft.tuners.tuners_utils", extra="train")
    for module in model.modules():
        if isinstance(module, tuners.BaseTunerLayer) and not module.merged:
            module.merge(safe_merge=True)
    state = model.state_dict()
    return {name.replace(_WRAPPED, "."): tensor for name, tensor in state.items() if _LORA not in name}


def transformer_of(model: Any) -> Any:
    """The library's model inside a ``SentenceTransformer``."""
    return model[0].auto_model
