"""The page's scripts share one closure: a name that two of them declare would stop all of them."""

import re

import pytest

pytest.importorskip("gradio")

from lite_medsam.cli.demo_loading import load_demo

app = load_demo("app")


def test_no_two_scripts_declare_one_name():
    declared = {}
    for name in app.SCRIPTS:
        text = (app.HERE / "page" / f"{name}.js").read_text(encoding="utf-8")
        for found in re.findall(r"^(?:const|let|var|function|async function|class) +(\w+)", text, re.MULTILINE):
            declared.setdefault(found, []).append(name)
    assert len(declared) > 200
    assert {name: files for name, files in declared.items() if len(files) > 1} == {}


KEY = re.compile(r'register\.key\((?:"([^"]+)"|\[([^\]]*)\]), .*?(?:\{ (?P<options>[^{}]*) \})?\);$', re.MULTILINE)


def test_no_two_scripts_take_one_key():
    taken = {}
    for name in app.SCRIPTS:
        for found in KEY.finditer((app.HERE / "page" / f"{name}.js").read_text(encoding="utf-8")):
            options = found["options"] or ""
            ctrl, on = "ctrl: true" in options, re.search(r'on: "(\w+)"', options)
            shifts = [s for s in ("true", "false") if f"shift: {s}" in options] or ["true", "false"]
            for key in [found[1]] if found[1] else re.findall(r'"([^"]+)"', found[2]):
                for shift in shifts:
                    taken.setdefault((key, ctrl, shift, on and on[1]), []).append(name)
    assert len(taken) > 40
    assert {key: files for key, files in taken.items() if len(files) > 1} == {}


def test_every_script_is_part_of_the_page():
    assert sorted(path.stem for path in (app.HERE / "page").glob("*.js")) == sorted(app.SCRIPTS)
