"""The steps of a Dockerfile run without Docker: each stage is a virtual environment, absolute paths lie below a folder."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

PLACES = ("/src", "/wheels", "/home/user", "/tmp/cache")
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "shared")


@dataclass
class Stage:
    """What the steps of a stage have left.

    Attributes:
        root: Stands for the container's root.
        environment: Variables that its steps and its program get.
        user: Who its program runs as.
        folder: Where it runs.
        entrypoint: The program.
        health: The command of the health check.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    folder: str = "/src"
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def placed(self, text: str) -> str:
        """A text with the container's paths in place of this machine's."""
        return re.sub("|".join(map(re.escape, PLACES)), lambda match: str(self.root) + match[0], text)


def python_for_all() -> str | None:
    """A Python of 3.10 or newer that users without rights may run; None where there is none."""
    for path in (Path(sys.executable).resolve(), Path("/usr/bin/python3")):
        if path.exists() and all(place.stat().st_mode & stat.S_IXOTH for place in path.resolve().parents):
            asked = subprocess.run(
                [path, "-c", "import sys, ensurepip; print(sys.version_info >= (3, 10))"], capture_output=True
            )
            if asked.stdout.strip() == b"True":
                return str(path)
    return None


def steps_of(path: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, continued lines joined."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def build(dockerfile: Path, context: Path, target: str, folder: Path) -> Stage:
    """Runs the steps up to a stage, and those of stages that it copies from."""
    stages: dict[str, Stage] = {}
    stage, runs = Stage(folder), False
    for instruction, words in steps_of(dockerfile):
        if instruction == "FROM":
            if stages and list(stages)[-1] == target:
                break
            name = words.split()[-1]
            runs = name in ("wheel", target)
            stage = stages[name] = Stage(folder / name)
            if runs:
                python = python_for_all()
                assert python is not None
                subprocess.run([python, "-m", "venv", str(stage.root / "venv")], check=True)
                for place in PLACES:
                    Path(stage.placed(place)).mkdir(parents=True)
                stage.environment = os.environ | {"PATH": f"{stage.root}/venv/bin{os.pathsep}{os.environ['PATH']}"}
                stage.environment.pop("PYTHONPATH", None)
        elif runs:
            _step(stage, instruction, words, context, stages)
    return stages[target]


def _step(stage: Stage, instruction: str, words: str, context: Path, stages: dict[str, Stage]) -> None:
    if instruction == "RUN":
        if not words.startswith("useradd"):  # this machine's users are left alone
            subprocess.run(stage.placed(words), shell=True, check=True, env=stage.environment, timeout=500)
    elif instruction == "COPY":
        *options, source, to = shlex.split(words)
        origin = next((o.removeprefix("--from=") for o in options if o.startswith("--from=")), None)
        start = context / source if origin is None else Path(stages[origin].placed(source))
        end = Path(stage.placed(to if to.startswith("/") else f"{stage.folder}/{to}"))
        if start.is_dir():
            shutil.copytree(start, end, dirs_exist_ok=True, ignore=LEFT_OUT)
        else:
            shutil.copy(start, end)
    elif instruction == "ENV":
        stage.environment |= dict(word.split("=", 1) for word in shlex.split(stage.placed(words)))
    elif instruction == "USER":
        stage.user = words
    elif instruction == "WORKDIR":
        stage.folder = words
    elif instruction == "HEALTHCHECK":
        stage.health = json.loads(words.split("CMD", 1)[1])
    elif instruction == "ENTRYPOINT":
        stage.entrypoint = json.loads(words)
    else:
        assert instruction == "EXPOSE", instruction
