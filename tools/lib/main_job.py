"""The main job as ``tools/demo`` shows it, checked against what it promises.

Every command is printed as it is run, before its output. The checks read the
repositories with plain git and git-annex, never through this package.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
FORM = "obc-gdpr-ult-1.1.0"
COLUMNS = ["participant_id", "state", "form", "from", "until", "by", "basis", "scope", "then"]
COLUMNS += ["evidence"]
DATATYPES = {"anat", "func", "dwi", "fmap", "perf"}
#: of a participant in alphabetical order; those that follow gave their consent
ROLES = ("given", "refused", "withdrawn", "none", "func", "given")

#: for the steps that are plain git or datalad commands, when git knows nobody
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A steward"), ("EMAIL", "steward@example.org"))
}


class UnexpectedExitError(Exception):
    """A command ended otherwise than it should; what follows would mean nothing."""


@lru_cache(maxsize=1)
def identity() -> dict[str, str]:
    """What git needs to know about who commits, if it does not know yet."""
    known = subprocess.run(["git", "config", "user.email"], capture_output=True, check=False)
    return IDENTITY if known.returncode else {}


@dataclass
class Stage:
    """A directory, the commands run in it, and the promises that did not hold."""

    place: Path
    broken: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        print(f"\n== {text}\n", flush=True)

    def run(self, command: str, *, codes: tuple[int, ...] = (0,), plain: bool = False) -> str:
        """Print a shell command, run it, print and return its output.

        ``plain`` marks a command that is not ours: it gets an identity if git has none.
        """
        print(f"$ {command}", flush=True)
        env = dict(os.environ, CHECKOUT=str(CHECKOUT), DATALAD_LOG_LEVEL="warning")
        if plain:
            env.update(identity())
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.place,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
        code = process.wait()
        if code not in codes:
            raise UnexpectedExitError(f"`{command}` ended with {code}")
        if code:
            print(f"(exit code {code})")
        print(flush=True)
        return "".join(lines)

    def ask(self, *argv: str) -> bytes:
        """The output of a command that is not part of the show."""
        env = os.environ | identity()
        done = subprocess.run(
            argv,
            cwd=self.place,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip()
            raise UnexpectedExitError(
                f"`{shlex.join(argv)}` ended with {done.returncode}: {reason}"
            )
        return done.stdout

    def check(self, held: bool, promise: str) -> None:
        print(f"  {'ok    ' if held else 'BROKEN'}  {promise}", flush=True)
        if not held:
            self.broken.append(promise)


@dataclass(frozen=True)
class Participants:
    """Who is in the dataset, and what the made-up consents say."""

    roles: dict[str, str]

    @classmethod
    def found(cls, dataset: Path) -> Participants:
        labels = sorted(p.name for p in dataset.glob("sub-*") if p.is_dir())
        return cls({who: ROLES[min(i, len(ROLES) - 1)] for i, who in enumerate(labels)})

    def withheld(self) -> list[str]:
        return [w for w, role in self.roles.items() if role in ("refused", "withdrawn", "none")]

    def permits(self, path: str) -> bool:
        """Whether the consents permit this image; the rules are simple on purpose."""
        who, datatype = path.split("/")[0], path.split("/")[-2]
        role = self.roles.get(who, "none")
        return role == "given" or (role == "func" and datatype == "func")

    def consent_rows(self) -> list[str]:
        rows = []
        for sheet, (who, role) in enumerate(self.roles.items(), 1):
            if role == "none":
                continue
            row = dict.fromkeys(COLUMNS, "n/a")
            row |= {"participant_id": who, "by": "self", "evidence": f"folder 7 sheet {sheet}"}
            given = row | {"state": "given", "form": FORM, "from": "2024-03-01", "basis": "consent"}
            if role == "refused":
                rows.append(row | {"state": "refused", "from": "2024-03-01"})
                continue
            rows.append(given | ({"scope": "datatype=func"} if role == "func" else {}))
            if role == "withdrawn":
                rows.append(
                    row | {"state": "withdrawn", "from": "2025-06-02", "then": "stop-sharing"}
                )
        return ["\t".join(COLUMNS), *("\t".join(r[c] for c in COLUMNS) for r in rows)]


def images(stage: Stage, repository: str, *wanted: str) -> dict[str, int]:
    """Annexed images of participants, with their sizes in bytes."""
    find = ("git", "-C", repository, "annex", "find", *(wanted or ("--include=*",)))
    raw = stage.ask(*find, "--format=${bytesize}\\t${file}\\000")
    found = {}
    for line in raw.decode("utf-8", "surrogateescape").split("\0"):
        if line:
            size, path = line.split("\t", 1)
            parts = path.split("/")
            if parts[0].startswith("sub-") and len(parts) > 2 and parts[-2] in DATATYPES:
                found[path] = int(size)
    return found


def objects(stage: Stage, repository: str) -> bytes:
    """Every object of a repository, one after the other."""
    return stage.ask("git", "-C", repository, "cat-file", "--batch-all-objects", "--batch")


def state(stage: Stage, repository: str) -> tuple[bytes, list[str]]:
    """Trees of all references of a bare repository, and the content it holds."""
    refs = stage.ask("git", "-C", repository, "for-each-ref", "--format=%(refname) %(tree)")
    held = sorted(p.name for p in (stage.place / repository).glob("annex/objects/*/*/*/*"))
    return refs, held


def fingerprint(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Mode, size and time of change of everything in a folder."""
    return {
        str(p): (s.st_mode, s.st_size, s.st_mtime_ns)
        for p in sorted(folder.rglob("*"))
        for s in [p.lstat()]
    }


def budget_for(sizes: dict[str, int]) -> tuple[int, str]:
    """A budget that the largest participant exceeds, or that the sum just does (kB)."""
    units: dict[str, int] = {}
    for path, size in sizes.items():
        who = path.split("/")[0]
        units[who] = units.get(who, 0) + size
    total = sum(units.values())
    rest = total - max(units.values(), default=0)
    if len(units) < 2:
        return -(-total // 1000) + 1, "everything permitted fits"
    if rest * 1.2 < max(units.values()):
        return -(-rest * 11 // 10000), "the largest participant does not fit"
    return (total - 1) // 1000, "all but one participant fit"


@dataclass
class Show:
    """The acts in order; each leaves behind what later ones need."""

    stage: Stage
    data: Path | None
    people: Participants = field(default_factory=lambda: Participants({}))
    everything: dict[str, int] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    budget: int = 0

    def run(self, command: str) -> None:
        """One of our commands; findings in a user's own data are no failure of the demo."""
        self.stage.run(command, codes=(0, 1) if self.data or self.absent else (0,))

    @property
    def source(self) -> Path:
        return self.data or self.stage.place / "bids"

    @property
    def permitted(self) -> dict[str, int]:
        return {path: size for path, size in self.everything.items() if self.people.permits(path)}

    def head(self) -> bytes:
        return self.stage.ask("git", "-C", "dataset", "rev-parse", "HEAD")

    def register(self) -> None:
        stage = self.stage
        stage.title("1. A BIDS folder becomes a registered dataset")
        if self.data is None:
            make = 'python "$CHECKOUT/tools/make_bids.py"'
            stage.run(f"{make} bids --participants 8 --big sub-08")
        before = fingerprint(self.source)
        source = shlex.quote(str(self.data)) if self.data else "bids"
        self.run(f"datalad mrishare-register {source} dataset")
        stage.check(fingerprint(self.source) == before, "the source is untouched")
        self.people = Participants.found(stage.place / "dataset")
        self.everything = images(stage, "dataset")
        self.absent = self.everything.keys() - images(stage, "dataset", "--in=here").keys()
        if self.absent:
            total = len(self.everything)
            print(f"\n{len(self.absent)} of {total} images have no content on this machine.")

    def consent(self) -> None:
        self.stage.title("2. What the participants signed")
        records = "\n".join(self.people.consent_rows()) + "\n"
        (self.stage.place / "consent.tsv").write_text(records)
        self.stage.run("cat consent.tsv", plain=True)
        self.stage.run("datalad mrishare-consent -d dataset consent.tsv")
        self.stage.run("datalad mrishare-consent -d dataset")

    def backup(self) -> None:
        stage = self.stage
        stage.title("3. A backup of everything, on own storage")
        stage.run("git init --quiet --bare backup.git", plain=True)
        stage.run('git -C dataset remote add backup "$PWD/backup.git"', plain=True)
        stage.run("datalad mrishare-sibling -d dataset backup --policy backup")
        self.run("datalad mrishare-publish -d dataset --to backup")
        here = stage.ask("git", "-C", "dataset", "annex", "find", "--in=here", "--format=${key}\\n")
        held = set(state(stage, "backup.git")[1])
        stage.check(held >= set(here.decode().split()), "the backup holds every image")

    def mirror(self) -> None:
        stage = self.stage
        stage.title("4. A mirror for the institution, and one door to it")
        stage.run("git init --quiet --bare mirror.git", plain=True)
        stage.run('git -C dataset remote add mirror "$PWD/mirror.git"', plain=True)
        stage.run("datalad mrishare-sibling -d dataset mirror --policy institution")
        empty = state(stage, "mirror.git")
        print("Plain commands do not reach it:\n")
        refused = tuple(range(1, 256))
        stage.run("git -C dataset annex copy --all --to mirror", codes=refused, plain=True)
        stage.run("datalad push -d dataset --to mirror --data anything", codes=refused, plain=True)
        stage.run("git -C dataset push --all mirror", codes=refused, plain=True)
        stage.check(state(stage, "mirror.git") == empty, "nothing arrived on the mirror")

    def publish(self) -> None:
        stage = self.stage
        self.budget, why = budget_for(self.permitted)
        stage.title(f"5. Publish what is permitted, within {self.budget} kB: {why}")
        empty = state(stage, "mirror.git")
        publish = f"datalad mrishare-publish -d dataset --to mirror --budget {self.budget}kB"
        self.run(f"{publish} --dry-run")
        stage.check(state(stage, "mirror.git") == empty, "the dry run sent nothing")
        self.run(publish)
        filled = state(stage, "mirror.git"), self.head()
        print("A second time there is nothing to do:\n")
        self.run(publish)
        again = state(stage, "mirror.git"), self.head()
        stage.check(filled == again, "publishing again changed nothing")

    def colleague(self) -> None:
        stage = self.stage
        stage.title("6. A colleague clones the mirror")
        stage.run("datalad clone mirror.git colleague", plain=True)
        # what was deferred is named but not there yet: datalad get says so and ends with 1
        stage.run("datalad -C colleague get .", codes=(0, 1), plain=True)
        stage.run("git -C colleague annex find --in=here", plain=True)
        stage.run("git -C colleague annex fsck --quiet --in=here", plain=True)
        if (stage.place / "dataset" / "participants.tsv").exists():
            stage.run("cat colleague/participants.tsv", plain=True)

    def explain(self) -> None:
        self.stage.title("7. Why the rest is not there")
        arrived = images(self.stage, "colleague", "--in=here")
        missing: dict[str, str] = {}
        for path in self.everything.keys() - arrived.keys():
            who = path.split("/")[0]
            missing[who] = min(path, missing.get(who, path))
        for _, path in sorted(missing.items())[:8]:
            ask = (
                f"datalad mrishare-explain -d dataset {shlex.quote('dataset/' + path)} --to mirror"
            )
            self.stage.run(ask, codes=(0, 1))

    def promises(self) -> None:
        stage, people = self.stage, self.people
        stage.title("8. What was promised")
        for repository in ("mirror.git", "colleague"):
            content = objects(stage, repository)
            for who in people.withheld():
                found = re.search(re.escape(who.encode()) + rb"(?![0-9A-Za-z])", content)
                stage.check(
                    not found, f"{who} ({people.roles[who]}) is in no object of {repository}"
                )
            stage.check(b"consent.tsv" not in content, f"no consent record is in {repository}")
        here = str(stage.place / "dataset").encode()
        stage.check(
            here not in objects(stage, "mirror.git"),
            "the mirror does not tell where the dataset is",
        )
        named, arrived = images(stage, "colleague"), images(stage, "colleague", "--in=here")
        stage.check(all(people.permits(p) for p in named), "every image named there is permitted")
        stage.check(named.keys() == self.permitted.keys(), "every permitted image is named there")
        size = sum(arrived.values())
        stage.check(size <= self.budget * 1000, f"{size} bytes arrived, within {self.budget} kB")
        sendable = self.permitted.keys() - self.absent
        stage.check(
            bool(arrived) or not sendable, f"{len(arrived)} of {len(self.permitted)} images arrived"
        )
        deferred = {path.split("/")[0] for path in named.keys() - arrived.keys()}
        if self.data is None:
            stage.check(deferred == {"sub-08"}, "of the permitted only sub-08 had to wait for room")
        same = all(
            (stage.place / "colleague" / p).read_bytes() == (self.source / p).read_bytes()
            for p in arrived
        )
        stage.check(same, "what arrived equals the source, byte for byte")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--keep", type=Path, metavar="DIR")
    chosen = parser.parse_args()
    if chosen.data and not chosen.data.is_dir():
        parser.error(f"{chosen.data} is not a directory")
    if chosen.keep:
        chosen.keep.mkdir(parents=True, exist_ok=True)
        if any(chosen.keep.iterdir()):
            parser.error(f"{chosen.keep} is not empty; name a new directory")
    place = chosen.keep or Path(tempfile.mkdtemp(prefix="mrishare-demo-"))
    stage = Stage(place.resolve())
    show = Show(stage, chosen.data.resolve() if chosen.data else None)
    acts = [show.register, show.consent, show.backup, show.mirror]
    acts += [show.publish, show.colleague, show.explain, show.promises]
    try:
        for act in acts:
            act()
    except UnexpectedExitError as stop:
        stage.broken.append(str(stop))
    where = shlex.quote(str(stage.place))
    print(f"\nEverything is in {where}. Remove it: chmod -R u+w {where} && rm -r {where}")
    if stage.broken:
        print("The demo did not hold what it promised:", *stage.broken, sep="\n  ")
        return 1
    print("The demo held all it promised.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
