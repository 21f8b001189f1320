"""Streams that take any text and end no run."""

import errno
import io
import json
import sys

import pytest

from lite_medsam.storage.console import SafeStream, print_json, safe_console


def stream(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp936", "utf-8"])
def test_any_name_is_written(encoding):
    out = stream(encoding)
    safe = SafeStream(out)
    print("b扫描é😀.png", "l\udcfc.png", file=safe)
    safe.flush()
    text = out.buffer.getvalue().decode(encoding)
    assert text.startswith("b") and text.count(".png") == 2 and "l?.png" in text and safe.lost is None
    assert ("扫描" in text) == (encoding in ("cp936", "utf-8"))


class Broken(io.StringIO):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, "broken")


def test_a_reader_that_left_is_no_fault_and_a_full_disk_is():
    left, full = SafeStream(Broken(errno.EPIPE)), SafeStream(Broken(errno.ENOSPC))
    for safe in (left, full):
        print("one", file=safe)
        print("two", file=safe)
        safe.flush()
    assert left.reader_left and full.lost.errno == errno.ENOSPC and not full.reader_left


def test_no_stream_and_a_closed_one():
    closed = io.StringIO()
    closed.close()
    for given in (None, closed):
        safe = SafeStream(given)
        assert safe.write("text") == 4
        safe.flush()
    late = io.StringIO()
    safe = SafeStream(late)
    late.close()
    print("text", file=safe)
    assert safe.lost is not None


def test_json_is_whole_on_any_console(monkeypatch):
    value = [{"input": "b扫描.png"}, {"input": "l\udcfc.png"}]
    for encoding in ("cp1252", "utf-8"):
        out = stream(encoding)
        monkeypatch.setattr(sys, "stdout", out)
        print_json(value)
        out.flush()
        assert json.loads(out.buffer.getvalue().decode(encoding)) == value
    assert "扫描" in out.buffer.getvalue().decode()


def test_streams_come_back(monkeypatch):
    before = sys.stdout, sys.stderr
    with pytest.raises(RuntimeError), safe_console() as (out, err):
        assert sys.stdout is out and sys.stderr is err
        raise RuntimeError
    assert (sys.stdout, sys.stderr) == before
