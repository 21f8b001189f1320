"""Firefox as Debian packages it, headless, spoken to by WebDriver BiDi over a small WebSocket client."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import socket
import struct
import subprocess
import time

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")


class Socket:
    """A WebSocket that sends and receives texts (RFC 6455, without extensions)."""

    def __init__(self, port, path):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "")  # fmt: skip
        self._socket.sendall("\r\n".join(lines).encode())
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._socket.recv(4096)
        head, self._rest = self._rest.split(b"\r\n\r\n", 1)
        assert b" 101 " in head.split(b"\r\n")[0], head

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        size = len(data)
        length = (
            bytes([0x80 | size])
            if size < 126
            else b"\xfe" + struct.pack(">H", size)
            if size < 2**16
            else b"\xff" + struct.pack(">Q", size)
        )
        masked = bytes(byte ^ mask[k % 4] for k, byte in enumerate(data))
        self._socket.sendall(b"\x81" + length + mask + masked)

    def receive(self):
        text = b""
        while True:
            first, second = self._take(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
            data = self._take(size)
            if first & 15 in (0, 1):
                text += data
                if first & 128:
                    return text.decode()

    def _take(self, count):
        while len(self._rest) < count:
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError("Firefox closed the connection")
            self._rest += more
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def close(self):
        self._socket.close()


class Firefox:
    """One tab."""

    def __init__(self, wire):
        self._wire, self._count = wire, itertools.count(1)
        self.ask("session.new", capabilities={})
        self._tab = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method, **params):
        number = next(self._count)
        self._wire.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._wire.receive())
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    def size(self, width, height):
        self.ask("browsingContext.setViewport", context=self._tab, viewport={"width": width, "height": height})

    def goto(self, url):
        self.ask("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def evaluate(self, expression):
        """The value of an expression, through JSON."""
        told = self.ask("script.evaluate", expression=f"(async () => JSON.stringify((await ({expression})) ?? null))()",
                        target={"context": self._tab}, awaitPromise=True)  # fmt: skip
        assert told["type"] == "success", told
        return json.loads(told["result"]["value"])

    def wait_for(self, expression, seconds=60):
        until = time.monotonic() + seconds
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < until, expression
            time.sleep(0.1)
        return found

    def drag(self, *places):
        (x, y), *others = ([round(v) for v in place] for place in places)
        moves = [{"type": "pointerMove", "x": x, "y": y, "duration": 50} for x, y in others]
        actions = [
            {"type": "pointerMove", "x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            *moves,
            {"type": "pointerUp", "button": 0},
        ]
        self.ask(
            "input.performActions", context=self._tab, actions=[{"type": "pointer", "id": "mouse", "actions": actions}]
        )

    def click(self, selector):
        place = "({ x, y, width, height }) => [x + width / 2, y + height / 2]"
        box = self.evaluate(f"({place})(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")
        self.drag(box)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.ask("browsingContext.captureScreenshot", context=self._tab)["data"]))


@contextlib.contextmanager
def firefox(folder):
    """Yields a `Firefox` with an empty profile; downloads go into the folder."""
    profile = folder / "profile"
    profile.mkdir()
    wanted = {
        "browser.download.folderList": 2,
        "browser.download.dir": str(folder),
        "browser.shell.checkDefaultBrowser": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "app.update.auto": False,
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in wanted.items()]
    (profile / "user.js").write_text("\n".join(lines))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [FIREFOX, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", str(port), "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"HOME": str(folder)},
    )  # fmt: skip
    try:
        wire = None
        for _ in range(300):
            with contextlib.suppress(OSError):
                wire = Socket(port, "/session")
                break
            time.sleep(0.2)
        assert wire is not None, "Firefox did not come"
        yield Firefox(wire)
        wire.close()
    finally:
        process.terminate()
        process.wait(20)
