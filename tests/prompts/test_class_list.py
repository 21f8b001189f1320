"""Class lists: what is read from which file, and the same again after writing."""

import json

import pytest

from lite_medsam.errors import PromptError
from lite_medsam.prompts.class_list import (
    DEFAULT_COLOURS,
    class_list,
    class_list_csv,
    class_list_json,
    class_list_text,
    parse_class_list,
    read_class_list,
)

FULL = [("drusen", "#ff8800", "d"), ("cyst", "#56b4e9", "1")]


def facts(classes):
    return [(one.name, one.colour, one.key) for one in classes]


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "drusen", "colour": "#FF8800", "key": "D"}, {"name": "cyst"}]',
        '{"classes": [{"name": "drusen", "color": [255, 136, 0], "key": "d"}, "cyst"]}',
        '[{"name": "drusen", "id": 3, "color": "#ff8800", "key": "d", "attributes": []}, {"name": "cyst", "attributes": []}]',
        "name,colour,key\ndrusen,#ff8800,d\ncyst,,\n",
        "\ufeffName;Color;Key\r\n drusen ; ff8800 ; d \r\n cyst;;\r\n",
    ],
)
def test_lists_with_colours_and_keys_are_read(text):
    assert facts(parse_class_list(text)) == FULL


@pytest.mark.parametrize(
    "text",
    [
        "drusen\ncyst\n",
        "# my classes\n__ignore__\n_background_\ndrusen\n\ncyst",
        '{"categories": [{"id": 1, "name": "drusen", "supercategory": "x"}, {"id": 2, "name": "cyst"}]}',
        '{"names": {"0": "drusen", "1": "cyst"}}',
        '{"names": ["drusen", "cyst"]}',
    ],
)
def test_plain_names_get_colours_and_digits(text):
    assert facts(parse_class_list(text)) == [("drusen", DEFAULT_COLOURS[0], "1"), ("cyst", DEFAULT_COLOURS[1], "2")]


def test_a_mapping_of_names_to_colours_is_a_list():
    assert facts(parse_class_list('{"drusen": "#ff8800", "cyst": "#56b4e9"}'))[0] == ("drusen", "#ff8800", "1")


@pytest.mark.parametrize("write", [class_list_json, class_list_csv])
def test_what_is_written_is_read_again(write, tmp_path):
    classes = class_list([{"name": 'a, "b"', "key": "q"}, {"name": "Häm", "colour": "#010203"}, "third"])
    (tmp_path / "list").write_text(write(classes), encoding="utf-8")
    assert read_class_list(tmp_path / "list") == classes
    assert classes[1].rgb == (1, 2, 3)


def test_names_alone_are_what_labelme_and_yolo_take():
    assert class_list_text(class_list(["a", "b c"])) == "a\nb c\n"
    assert json.loads(class_list_json(class_list(["a"])))[0]["attributes"] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1 to 100 classes, got 0"),
        ("a\nA", "'a' twice"),
        ("x" * 61, "1 to 60 characters, got 61"),
        ('[{"name": "a", "colour": "red"}]', "like #e69f00, got 'red'"),
        ('[{"name": "a", "key": "ab"}]', "a letter or a digit, got 'ab'"),
        ('[{"name": "a", "key": "q"}, {"name": "b", "key": "Q"}]', "'q' twice"),
        ("[1, 2]", "class 1 must be a name"),
        ("{not json", "must be JSON"),
        ('{"classes": 3}', "must be a list"),
        ("\n".join(map(str, range(101))), "got 101"),
    ],
)
def test_what_is_no_list_is_refused_in_one_line(text, said):
    with pytest.raises(PromptError, match=".*".join(map(str, [said.replace("(", r"\(")]))) as caught:
        parse_class_list(text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path):
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(PromptError, match=r"classes\.txt: a class list must be text"):
        read_class_list(tmp_path / "classes.txt")
    with pytest.raises(PromptError, match=r"none\.txt: could not be read"):
        read_class_list(tmp_path / "none.txt")
