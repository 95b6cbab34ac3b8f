"""The server of the review page: which function of `state` answers a request that `guard` lets through."""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tessera.core.errors import TesseraError
from tessera.pages.review.guard import LONGEST, Guard
from tessera.pages.review.state import DIGITS, Refused, Review

STATIC = Path(__file__).parent / "static"
SCRIPTS = ("page.js", "draw.js", "grid.js", "dialogs.js", "review.js")
FILES = {"": "index.html"} | {name: name for name in ("review.css", "icon.svg", *SCRIPTS)}
Answer = Callable[[Request], Awaitable[Response]]


def make_app(review: Review, token: str, hosts: Callable[[], set[str]]) -> ASGIApp:
    """Return the application that serves `review` below `/{token}/`. `hosts`: see `Guard`."""

    def answer(work: Callable[[Any], Any]) -> Answer:
        async def given(request: Request) -> Response:
            try:
                content = await _body(request) if request.method == "POST" else dict(request.query_params)
                await run_in_threadpool(review.refresh)
                return JSONResponse(await run_in_threadpool(work, content))
            except Refused as refused:
                return JSONResponse(refused.content, refused.status.value)
            except TesseraError as error:
                return JSONResponse({"error": str(error)}, HTTPStatus.LOCKED.value)

        return given

    async def file(request: Request) -> Response:
        try:
            given = request.path_params
            number = int(given["id"]) if given["id"].isdecimal() and len(given["id"]) < DIGITS else -1
            path, kind = await run_in_threadpool(review.file, given["version"], number, given["what"])
        except Refused as refused:
            return JSONResponse(refused.content, refused.status.value)
        # The address has the version of the results, so that what it shows never changes.
        return FileResponse(path, media_type=kind, headers={"Cache-Control": "private, max-age=86400"})

    async def static(request: Request) -> Response:
        name = FILES.get(request.path_params.get("name", ""))
        if name is None:
            return PlainTextResponse("404 Not Found\n", HTTPStatus.NOT_FOUND.value)
        return FileResponse(STATIC / name)

    asked = {"state": review.state, "pulse": review.pulse, "ids": review.ids, "items": review.some, "history": review.past}
    asked |= {"outlines": review.outlines, "plan": lambda _: review.planned(), "run": lambda _: review.next_run()}
    changing = {"decide": review.decide, "undo": review.undo, "open": review.open, "keys": review.remap}
    routes = [
        Route("/{token}/", static),
        Route("/{token}/{name}", static),
        *(Route(f"/{{token}}/api/{name}", answer(work)) for name, work in asked.items()),
        *(Route(f"/{{token}}/api/{name}", answer(work), methods=["POST"]) for name, work in changing.items()),
        Route("/{token}/media/{version}/{id}/{what}", file),
    ]
    return Guard(Starlette(routes=routes), token, hosts)


async def _body(request: Request) -> Mapping[str, Any]:
    """Return the JSON object that a request sends. Raises `Refused` if it is none, or too long."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LONGEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error="The request is too long.")
    try:
        found = json.loads(content)
        # Half of a character cannot be written to a table.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, error="The request is no JSON object.")
    return found
