"""What stands before the routes: who may ask, from where, and headers that keep a browser apart."""

import base64
import binascii
import hmac
import json
from collections.abc import Collection

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
OPEN = ("/healthz",)
LOCAL = ("127.0.0.1", "localhost", "::1")


class Guard:
    """ASGI middleware.

    Args:
        app: What comes behind.
        key: What a client must know, as bearer token or as password; None lets all in.
        hosts: Names under which the service may be called; None for any. A page that makes the browser take its own name for
            this machine's is kept out by that.
        origins: Pages that may ask from a browser.
    """

    def __init__(self, app, key: str | None, hosts: Collection[str] | None, origins: Collection[str] = ()):
        self._app, self._key, self._origins = app, key, frozenset(origins)
        self._hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get(b"origin")
        if self._hosts is not None and host_name(headers.get(b"host", "")) not in self._hosts:
            await _refuse(send, 421, "this service is not called so; use http://127.0.0.1 and its port")
        elif origin is not None and origin not in self._origins:
            await _refuse(send, 403, "pages of this origin may not ask; see --allow-origin")
        elif scope["method"] != "OPTIONS" and scope["path"] not in OPEN and not self._may_enter(headers):
            challenge = {"www-authenticate": 'Bearer, Basic realm="lite-medsam"'}
            await _refuse(send, 401, "the key is missing or wrong", challenge)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _may_enter(self, headers: dict[bytes, str]) -> bool:
        if self._key is None:
            return True
        scheme, _, rest = headers.get(b"authorization", "").partition(" ")
        given = rest if scheme == "Bearer" else basic_user(headers.get(b"authorization", ""))[1]
        return hmac.compare_digest(given.encode(), self._key.encode())


def basic_user(authorization: str) -> tuple[str, str]:
    """Name and password of a header of basic authentication; ("", "") where it is none."""
    scheme, _, rest = authorization.partition(" ")
    if scheme != "Basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(rest, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    return name, password


def host_name(host: str) -> str:
    """The name in a Host header, without the port and without the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _with_headers(send):
    async def with_headers(message):
        if message["type"] == "http.response.start":
            more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return with_headers


async def _refuse(send, status: int, message: str, more: dict[str, str] | None = None) -> None:
    body = json.dumps({"detail": message}).encode()
    said = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close", **(more or {})}
    headers = [(name.encode(), value.encode()) for name, value in (said | HEADERS).items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
