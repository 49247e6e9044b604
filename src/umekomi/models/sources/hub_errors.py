"""The hub client's errors as ours: what the user can mend, what was out of reach, what the disk refused."""

from __future__ import annotations

from umekomi.errors import SourceUnavailable, StoreError, UnknownModel
from umekomi.models.names import HubName


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
            f"the hub has no model '{name.hub_id}', or it is private: check the spelling, or log in with "
            "'hf auth login'"
        )
    # The client's HTTP library is httpx or httpx2 by its version; its errors are the first base of this class.
    transport = errors.HfHubHTTPError.__mro__[1]
    if isinstance(error, errors.HfHubHTTPError | errors.LocalEntryNotFoundError | ConnectionError | TimeoutError):
        return SourceUnavailable(f"the hub could not be reached for {name.text}: {_brief(error)}")
    if isinstance(error, transport):
        return SourceUnavailable(f"the hub could not be reached for {name.text}: {_brief(error)}")
    if isinstance(error, OSError):
        return StoreError(f"the hub's cache cannot be written: {error.filename or ''}: {error.strerror or error}")
    return error


def _brief(error: Exception) -> str:
    cause = error.__cause__ or error
    text = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {text[:200]}"
