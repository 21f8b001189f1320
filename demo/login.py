"""The page that asks for a name and a password, in place of Gradio's: with a title, the notice, and words that can be read."""

from pathlib import Path

ASKED = b'"auth_required"'  # in what Gradio serves to somebody who is not logged in


class LoginPage:
    """ASGI middleware: where Gradio serves its login page, ours is served.

    Args:
        app: What comes behind.
    """

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        root = scope.get("root_path", "").rstrip("/")
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].removeprefix(root) not in ("", "/"):
            await self._app(scope, receive, send)
            return
        start: dict = {}
        body = b""

        async def kept(message):
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                await _send(send, start, body)

        await self._app(scope, receive, kept)


async def _send(send, start: dict, body: bytes) -> None:
    if ASKED in body:
        body = (Path(__file__).parent / "page" / "login.html").read_bytes()
        headers = [
            (name, value)
            for name, value in start["headers"]
            if name.lower() not in (b"content-length", b"content-encoding")
        ]
        start = {**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
