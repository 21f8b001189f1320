"""Others' texts become a part of a message."""

import pytest

from lite_medsam.storage.one_line import one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two\nlines\tand  more", "two lines and more"),
        ("a\0b\x1b[31m", "a?b?[31m"),
        ("é 漢", "é 漢"),
        (ValueError("wrong"), "wrong"),
        (ValueError(), "ValueError"),
        ("\n", "str"),
    ],
)
def test_one_printable_line(text, expected):
    assert one_line(text) == expected


def test_not_too_long():
    assert one_line("x" * 10**6) == "x" * 157 + "..."
    assert one_line("abcdef", 5) == "ab..."
