"""What every section of umekomi.yaml is, and the types its keys share."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]
VariableName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _checked_base_url(value: str) -> str:
    """A server's address as clients prepend it to ``/embeddings``: no trailing slash, and no secret in it."""
    try:
        address = urlsplit(value)
        port = address.port
    except ValueError as error:
        raise ValueError(f"not an address: {error}") from None
    if address.scheme not in ("http", "https") or not address.hostname or port == 0:
        raise ValueError("must be an address such as http://127.0.0.1:8080/v1")
    if address.username is not None or address.query or address.fragment:
        raise ValueError("must hold no user, query or fragment; name the variable of a key in api_key_env")
    return value.rstrip("/")


def _checked_origin(value: str) -> str:
    """An origin as browsers write it: scheme, host, and a port that is not the scheme's own."""
    if value == "*":
        return value
    try:
        address = urlsplit(value)
        port, host = address.port, address.hostname
    except ValueError as error:
        raise ValueError(f"not an origin: {error}") from None
    whole = not address.path.strip("/") and not address.query and not address.fragment
    if address.scheme not in ("http", "https") or not host or "*" in host or not whole:
        raise ValueError("must be an origin such as https://search.example.com, or '*' for every page")
    name = f"[{host}]" if ":" in host else host
    own = {"http": 80, "https": 443}[address.scheme]
    return f"{address.scheme}://{name}" + (f":{port}" if port not in (None, own) else "")


Origin: TypeAlias = Annotated[str, AfterValidator(_checked_origin)]
BaseUrl: TypeAlias = Annotated[str, AfterValidator(_checked_base_url)]


class Section(BaseModel):
    """A part of umekomi.yaml: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
