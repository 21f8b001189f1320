"""A million damaged files for every reader: `make fuzz`. A later run continues where this one stopped.

    python tests/fuzz/run.py [--state FOLDER] [--total 1000000] [--seconds S] [--only READER ...] [--jobs N]

Each reader has a process of its own, which is watched: one that hangs or crashes is replaced, and the input that it had is a
finding. The folder keeps how far each reader is, inputs that led to something new, and the findings: READER/faults/HASH holds
the input, HASH.txt what is wrong. Exit code 1: there are findings.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]

from readers import READERS  # noqa: E402  (the path is set above)

HANG_SECONDS = 20
LIMIT_MB = 1500  # of address space, beyond what the process has after the whole files
MAX_CORPUS = 400
SAVE_EVERY = 500
MAX_FAULTS = 200  # of one reader; more of them say nothing new


class Store:
    """What is kept of one reader between runs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.faults = folder / "faults"
        (folder / "corpus").mkdir(parents=True, exist_ok=True)
        self.faults.mkdir(exist_ok=True)

    @property
    def done(self) -> int:
        """How many inputs were read."""
        path = self.folder / "done.txt"
        return int(path.read_text() or 0) if path.exists() else 0

    def save_done(self, count: int) -> None:
        """Notes how many inputs were read."""
        temporary = self.folder / "done.tmp"
        temporary.write_text(str(count))
        temporary.replace(self.folder / "done.txt")

    def corpus(self) -> list[tuple[str, bytes]]:
        """Kinds of outcomes seen, each with the input that led there first."""
        kinds = json.loads(text) if (text := self._kinds_text()) else {}
        return [(kind, (self.folder / "corpus" / name).read_bytes()) for kind, name in kinds.items()]

    def keep(self, kinds: dict[str, bytes]) -> None:
        """Keeps the inputs that led to something new."""
        names = {}
        for kind, data in kinds.items():
            names[kind] = hashlib.sha256(data).hexdigest()[:16]
            path = self.folder / "corpus" / names[kind]
            if not path.exists():
                path.write_bytes(data)
        temporary = self.folder / "kinds.tmp"
        temporary.write_text(json.dumps(names))
        temporary.replace(self.folder / "kinds.json")

    def _kinds_text(self) -> str:
        path = self.folder / "kinds.json"
        return path.read_text() if path.exists() else ""

    def add_fault(self, data: bytes, text: str) -> None:
        """Keeps an input with what is wrong; of those alike only three."""
        alike = [path for path in self.faults.glob("*.txt") if path.read_text()[:80] == text[:80]]
        if len(alike) < 3 and len(list(self.faults.glob("*.txt"))) < MAX_FAULTS:
            name = hashlib.sha256(data).hexdigest()[:16]
            (self.faults / name).write_bytes(data)
            (self.faults / f"{name}.txt").write_text(text + "\n")


def work(name: str, state: Path, until: int, deadline: float) -> None:
    """Reads damaged files until so many were read; runs in a process of its own.

    The input that is being read lies in `current`, so that it is not lost with the process.
    """
    from judge import limit_memory, read_twice
    from mutate import damaged

    reader, store = READERS[name], Store(state / name)
    seeds = reader.seeds()
    kinds = dict(store.corpus())
    done = store.done
    current = store.folder / "current"
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        for round_ in range(2):  # in the first, packages are imported, which takes memory once
            for data in seeds:
                outcome = read_twice(reader, data, Path(folder))
                if round_ and outcome.fault:
                    store.add_fault(data, outcome.fault)
        limit_memory(LIMIT_MB)
        while done < until and time.time() < deadline:
            rng = Random(f"{name} {done}")
            inputs = seeds + list(kinds.values())
            data = damaged(rng.choice(inputs if rng.random() < 0.7 else seeds), rng, inputs)
            current.write_bytes(data)
            outcome = read_twice(reader, data, Path(folder))
            done += 1
            if outcome.fault:
                store.add_fault(data, outcome.fault)
            elif outcome.kind not in kinds and len(kinds) < MAX_CORPUS:
                kinds[outcome.kind] = data
            if done % SAVE_EVERY == 0:
                store.save_done(done)
                store.keep(kinds)
    store.save_done(done)
    store.keep(kinds)
    current.unlink(missing_ok=True)


def watch(name: str, state: Path, until: int, deadline: float) -> None:
    """Runs `work` in a process, again after each crash and hang, until it is through."""
    store = Store(state / name)
    while store.done < until and time.time() < deadline:
        command = [sys.executable, str(HERE / "run.py"), "--work", name, "--state", str(state)]
        command += ["--until", str(until), "--deadline", str(deadline)]
        started = time.time()
        with open(store.folder / "log.txt", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
            hung = _wait(process, store.folder / "current", started)
        if process.returncode != 0:
            lost = store.folder / "current"
            log_text = (store.folder / "log.txt").read_text(errors="replace")[-2000:]
            if not lost.exists():
                raise SystemExit(f"{name}: the fuzzer itself failed\n{log_text}")
            what = f"hangs for {HANG_SECONDS} s" if hung else f"crashes the process (code {process.returncode})"
            store.add_fault(lost.read_bytes(), f"{what}\n{log_text}")
            lost.unlink()
            store.save_done(store.done + SAVE_EVERY)  # not the same inputs once more


def _wait(process: subprocess.Popen, current: Path, started: float) -> bool:
    while True:
        try:
            process.wait(0.5)
            return False
        except subprocess.TimeoutExpired:
            try:
                last = max(started, current.stat().st_mtime)
            except OSError:
                last = started
            if time.time() - last > HANG_SECONDS * (1 if current.exists() else 6):  # imports take their time
                process.kill()
                process.wait()
                return True


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Damaged files for every reader.")
    parser.add_argument("--state", type=Path, default=Path("/tmp/lite-medsam-fuzz"))
    parser.add_argument("--total", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10**7)
    parser.add_argument("--only", nargs="*", choices=READERS, default=list(READERS))
    for hidden in ("--work", "--until", "--deadline"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.state, int(options.until), float(options.deadline))
        return 0
    end = time.time() + options.seconds
    shares = sum(reader.share for reader in READERS.values())
    goals = {name: -(-options.total * READERS[name].share // shares) for name in options.only}
    for i, (name, goal) in enumerate(goals.items()):  # time that one leaves over is the next one's
        waiting = [n for n in list(goals)[i:] if Store(options.state / n).done < goals[n]]
        if waiting and time.time() < end:
            rest = sum(READERS[n].share for n in waiting)
            watch(name, options.state, goal, time.time() + (end - time.time()) * READERS[name].share / rest)
    return report(options.state)


def report(state: Path) -> int:
    """Prints how far every reader is, and the findings."""
    total = found = 0
    for name in READERS:
        store = Store(state / name)
        faults = sorted(store.faults.glob("*.txt"))
        print(f"{name:18} {store.done:8} inputs {len(store.corpus()):4} kinds of outcome {len(faults):4} faults")
        for path in faults:
            print(f"    {path.with_suffix('')}: {path.read_text().splitlines()[0][:160]}")
        total, found = total + store.done, found + len(faults)
    print(f"{total} inputs, {found} faults")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
