"""A reverse proxy as nginx is one: it serves a server under another address, and refuses bodies above a size."""

import asyncio
import contextlib
import socket
import threading
import time

import httpx


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    """What a proxy does and has done.

    Attributes:
        address: Where it listens.
        max_body: Larger bodies are refused.
        log: What was asked for, as (path, bytes of the body, status).
    """

    def __init__(self, target, max_body, port, prefix):
        self.target, self.max_body, self.prefix, self.log = target, max_body, prefix, []
        self.address = f"http://127.0.0.1:{port}{prefix}"
        self._outgoing = None

    async def forward(self, request):
        from starlette.responses import Response, StreamingResponse

        self._outgoing = self._outgoing or httpx.AsyncClient(timeout=60, verify=False)
        body = await request.body()
        if len(body) > self.max_body:
            self.log.append((request.url.path, len(body), 413))
            return Response("<h1>413 Request Entity Too Large</h1>", 413)
        headers = [(k, v) for k, v in request.headers.raw if k not in (b"content-length", b"accept-encoding")]
        query = f"?{request.url.query}" if request.url.query else ""
        url = self.target + request.url.path.removeprefix(self.prefix) + query
        made = self._outgoing.build_request(request.method, url, headers=headers, content=body)
        answer = await self._outgoing.send(made, stream=True)
        dropped = ("content-length", "content-encoding", "transfer-encoding")
        kept = {k: v for k, v in answer.headers.items() if k not in dropped}
        self.log.append((request.url.path, len(body), answer.status_code))
        return StreamingResponse(answer.aiter_bytes(), answer.status_code, kept)


@contextlib.contextmanager
def limited(target, max_body=2**20, prefix=""):
    """Yields a proxy that serves a target, under a path where one is given."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Route

    port = free_port()
    proxy = Proxy(target, max_body, port, prefix)
    app = Starlette(routes=[Route(f"{prefix}/{{rest:path}}", proxy.forward, methods=["GET", "POST", "HEAD"])])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield proxy
    finally:
        server.should_exit = server.force_exit = True
        thread.join(5)
