"""What stands before the page's server: no large bodies, no routes that fetch from elsewhere, headers that bind the browser."""

import json

# of Gradio's routes: those that fetch what a stranger names, write files that outlive a session, or tell of others' use
CLOSED = ("/gradio_api/proxy=", "/gradio_api/deep_link", "/gradio_api/vibe", "/gradio_api/process_recording",
          "/gradio_api/run-history", "/gradio_api/file=http", "/gradio_api/stream", "/monitoring")  # fmt: skip
HEADERS = {
    # the browser itself refuses to contact any other host, whatever a script asks for
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
        "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
BODY_BYTES = 24 * 2**20  # of a request that is no upload: a piece of a file is less


class Guard:
    """ASGI middleware.

    Args:
        app: What comes behind.
        max_upload_bytes: Of a body that is sent to the upload route.
    """

    def __init__(self, app, max_upload_bytes: int):
        self._app, self._max_upload = app, max_upload_bytes + 2**20

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
        if path.lower().startswith(CLOSED):
            await _refuse(send, 404, "there is no such page")
            return
        limit = self._max_upload if path.startswith("/gradio_api/upload") else BODY_BYTES
        received, started = 0, False
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > limit:
            await _refuse(send, 413, f"a request must have at most {limit // 2**20} MB")
            return

        async def counted():
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _TooLarge
            return message

        async def with_headers(message):
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                have = {name.lower() for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in have]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        try:
            await self._app(scope, counted, with_headers)
        except _TooLarge:
            if not started:
                await _refuse(send, 413, f"a request must have at most {limit // 2**20} MB")


class _TooLarge(Exception):
    pass


async def _refuse(send, status: int, message: str) -> None:
    body = json.dumps({"detail": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
