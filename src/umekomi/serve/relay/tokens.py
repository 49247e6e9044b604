"""``POST /v1/tokenize`` and ``/v1/detokenize`` on a remote model, where its server has such a route."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from umekomi.engines.base import Answer
from umekomi.engines.remote import RemoteModel
from umekomi.errors import UnsupportedCapability, UpstreamRefusal
from umekomi.serve.capabilities import lease_remote
from umekomi.serve.residency import Resident
from umekomi.serve.service import service_of


async def relay_tokens(request: Request, resident: Resident, asked: tuple[str, bool] | list[int]) -> Response:
    """A text, and whether to add special tokens, to ids; or ids to their text."""
    name = resident.settings.name
    async with lease_remote(service_of(request), resident, "chat", "embedding", "rerank") as model:
        try:
            answer = await _ask(model, asked)
        except UpstreamRefusal as error:  # OpenAI's protocol has no such route, so few servers do
            raise UnsupportedCapability(f"The upstream of model `{name}` does not tell tokens.") from error
    return Response(orjson.dumps({"model": name, **answer}), media_type="application/json")


async def _ask(model: RemoteModel, asked: tuple[str, bool] | list[int]) -> Answer:
    if isinstance(asked, list):
        return await model.detokenize(asked)
    text, special = asked
    return {"max_model_len": None, **await model.tokenize(text, special=special)}
