"""Where a served model gets texts without prompts although its card names some. Loads no model."""

from __future__ import annotations

from collections.abc import Mapping

from umekomi.config import ModelSettings, Settings
from umekomi.errors import UmekomiError
from umekomi.evaluate.results import AuditRecord
from umekomi.models.catalog import find_entry
from umekomi.models.layout import read_prompts
from umekomi.models.names import find_path
from umekomi.models.starters import find_starter

AUDIT = "prompts"


def audit_settings(settings: Settings) -> tuple[AuditRecord, ...]:
    """A warning for each served model of umekomi.yaml that gets texts as they are although its card names prompts.

    Loads no model and asks no network: cards are known from the catalog, the starters and folders on this machine.
    """
    records = []
    for model in settings.models:
        if model.role != "raw" or model.kind not in ("auto", "embedding"):
            continue
        prompts = {
            role: text for role, text in _prompts_of(model).items() if role in ("query", "document") and text
        }
        if prompts:
            records.append(missing_prompts(model.name, prompts))
    return tuple(records)


def missing_prompts(served: str, prompts: Mapping[str, str]) -> AuditRecord:
    """The warning about a served alias that embeds texts as they come although its card names ``prompts``."""
    told = ", ".join(f"{role}: {text!r}" for role, text in prompts.items())
    return AuditRecord(
        audit=AUDIT,
        dataset="",
        model=served,
        finding=(
            f"texts are embedded as they come, though the card has prompts ({told}); clients must write them, send "
            "input_type, or the alias needs a role in umekomi.yaml"
        ),
        warning=True,
        details={"prompts": dict(prompts)},
    )


def _prompts_of(model: ModelSettings) -> Mapping[str, str]:
    """Prompts that the operator set, or that the model is known to expect; none where nothing is known."""
    if model.prompts:
        return {str(role): text for role, text in model.prompts.items()}
    name = model.open_name.partition("@")[0]
    starter = find_starter(name)
    entry = find_entry(starter.hub_id if starter else name)
    folder = find_path(name)
    try:
        shipped = read_prompts(folder) if folder and folder.is_dir() else {}
    except UmekomiError:
        shipped = {}  # opening the model will tell what is wrong with it
    return {**(entry.prompts if entry else {}), **shipped}
