"""The hub client's errors as ours: what the user can mend, what was out of reach, what the disk refused."""

from __future__ import annotations

from umekomi.errors import SourceUnavailable, StoreError, UnknownModel
from umekomi.models.names import HubName, nearest_names


def explain(error: Exception, name: HubName) -> Exception:
    """The hub client's error as ours; an error of another kind is returned as it is, for its traceback."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return UnknownModel(
            f"{name.hub_id} is gated: accept its terms on its page of the hub, then log in with 'hf auth login' or "
            "set HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UnknownModel(
            f"{name.hub_id} has no revision '{name.revision}'; leave out @{name.revision} for 'main'"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return UnknownModel(
            f"the hub has no model '{name.hub_id}', or it is private: {_near(name)}check the spelling, or log in "
            "with 'hf auth login'"
        )
    # The client's HTTP library is httpx or httpx2 by its version; its errors are the first base of this class.
    transport = errors.HfHubHTTPError.__mro__[1]
    unreachable = (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError, transport)
    if isinstance(error, unreachable):
        return SourceUnavailable(
            f"the hub could not be reached for {name.text}: {_brief(error)}; {_near(name)}check the connection, or "
            "copy the model's folder here and give its path"
        )
    if isinstance(error, OSError):
        return StoreError(f"the hub's cache cannot be written: {error.filename or ''}: {error.strerror or error}")
    return error


def _near(name: HubName) -> str:
    """The nearest known id, where ``name`` is none itself."""
    near = nearest_names(name.hub_id)
    return f"did you mean '{near[0]}'? Else " if near and name.hub_id not in near else ""


def _brief(error: Exception) -> str:
    cause = error.__cause__ or error
    text = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {text[:200]}"
