"""Which requests the review page answers. It is on loopback only.

Everything lies below a secret part of the address, the token. A request counts only if its `Host` is this server, and a request
that changes something only if a page of this server sent it. So pages of other sites can neither read nor decide anything, also
if they let a name of theirs point here.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from secrets import compare_digest
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LONGEST = 2**20  # bytes of a request: a decision on a hundred thousand items
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets only requests of this page through, and adds headers to each answer."""

    def __init__(self, app: ASGIApp, token: str, hosts: Callable[[], set[str]]) -> None:
        """Guard `app`. `hosts`: returns the names of this server, with the port."""
        self.app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, as an ASGI application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status = self._refused(scope, headers)
        if status:
            await PlainTextResponse(f"{status.value} {status.phrase}\n", status.value, HEADERS)(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(each for each in added if each[0] not in known)]
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _refused(self, scope: Scope, headers: Mapping[str, str]) -> HTTPStatus | None:
        hosts = self._hosts()
        if headers.get("host", "") not in hosts:
            return HTTPStatus.MISDIRECTED_REQUEST
        token = [*scope["path"].split("/"), ""][1]
        if not compare_digest(token.encode(), self._token.encode()):
            return HTTPStatus.NOT_FOUND
        # Browsers state where a request comes from; a navigation to the address has no origin.
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            return HTTPStatus.FORBIDDEN
        if scope["method"] in {"GET", "HEAD"}:
            return HTTPStatus.FORBIDDEN if site == "cross-site" and headers.get("sec-fetch-mode") != "navigate" else None
        if site != "same-origin" or headers.get("content-type", "").partition(";")[0] != "application/json":
            return HTTPStatus.FORBIDDEN
        size = headers.get("content-length", "")
        return None if size.isdecimal() and int(size) <= LONGEST else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
