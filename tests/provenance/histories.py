"""Random histories of small datasets, written by ``git fast-import``.

Everything that a lineage must follow happens in some of them: runs with literal inputs,
patterns, directories, from a subdirectory, repeated, with their record in a file; renaming,
copying, editing, deleting, toggling back and forth; branches, octopus merges, merges with
content of their own; runs whose command commits by itself; records that are broken or ask for
what is not there; files in git, links and pointers of git-annex; empty files; a subdataset that
runs read and write.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import random
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

DSID, SUB_DSID, OTHER_DSID = "11111111-aaaa", "22222222-bbbb", "33333333-cccc"
SUBDATASET = "inputs/ds"
PEOPLE = ["sub-01", "sub-02", "sub-03", "sub-04"]
Tree = dict[str, tuple[str, bytes]]
"""Path -> mode and content; of a subdataset the content is the id of its commit."""


def message(record: object, subject: str = "run") -> str:
    """A commit message as DataLad writes it."""
    text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False)
    return (
        f"[DATALAD RUNCMD] {subject}\n\n=== Do not change lines below ===\n{text}\n"
        "^^^ Do not change lines above ^^^\n"
    )


def record(
    inputs: list[str], pwd: str = ".", dsid: str = DSID, **more: object
) -> dict[str, object]:
    plain = {"chain": [], "cmd": "make", "dsid": dsid, "exit": 0, "extra_inputs": []}
    return {**plain, "inputs": inputs, "outputs": [], "pwd": pwd, **more}


def config(dsid: str) -> bytes:
    return f'[datalad "dataset"]\n\tid = {dsid}\n'.encode()


@dataclass
class Writer:
    """Writes commits of whole trees into one repository."""

    repo: Path
    lines: list[bytes] = field(default_factory=list)
    marks: int = 0

    def commit(self, branch: str, tree: Tree, text: str, parents: list[int]) -> int:
        self.marks += 1
        data = text.encode("utf-8", "surrogateescape")
        head = f"commit refs/heads/{branch}\nmark :{self.marks}\n"
        head += f"committer T <t@x> {1_700_000_000 + self.marks} +0000\ndata {len(data)}\n"
        out = [head.encode() + data + b"\n"]
        for number, parent in enumerate(parents):
            out.append(f"{'merge' if number else 'from'} :{parent}\n".encode())
        out.append(b"deleteall\n")
        for path, (mode, content) in tree.items():
            quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
            if mode == "160000":
                out.append(f"M 160000 {content.decode()} {quoted}\n".encode())
            else:
                size = f"M {mode} inline {quoted}\ndata {len(content)}\n".encode()
                out.append(size + content + b"\n")
        self.lines += out
        return self.marks

    def write(self, *, bare: bool = True, below: dict[int, str] | None = None) -> dict[int, str]:
        """Make the repository and return mark -> commit; ``below``: the same of a subdataset."""
        self.repo.mkdir(parents=True, exist_ok=True)
        init = ["git", "init", "-q", "--template=", "-b", "main", *(["--bare"] if bare else [])]
        subprocess.run([*init, str(self.repo)], check=True)
        marks = self.repo / "marks"
        subprocess.run(
            ["git", "fast-import", "--quiet", f"--export-marks={marks}"],
            cwd=self.repo,
            input=re.sub(rb"@(\d+)@", lambda m: below[int(m[1])].encode(), b"".join(self.lines)),
            check=True,
        )
        pairs = (line.split() for line in marks.read_text().splitlines())
        return {int(mark[1:]): oid for mark, oid in pairs}


class Story:
    """One random history; ``happened`` counts what is in it."""

    def __init__(self, seed: int, repo: Path, *, bare: bool = True):
        self.random = random.Random(seed)
        self.writer = Writer(repo)
        self.bare = bare
        self.happened: Counter[str] = Counter()
        self.branches: dict[str, tuple[int, Tree]] = {}
        self.records: list[dict[str, object]] = []
        self.fresh = 0
        self.dsid = DSID
        self.below: Below | None = None

    # -- contents and places -------------------------------------------------------------

    def content(self) -> tuple[str, bytes]:
        """A new content, or one of few that come again and again; in one of three forms."""
        self.fresh += 1
        number = self.random.choice([self.fresh + 100, self.random.randrange(6)])
        if self.random.random() < 0.05:
            return "100644", b""
        text = f"content {number}\n".encode()
        if self.random.random() < 0.5:
            return "100644", text
        key = f"MD5E-s{len(text)}--{hashlib.md5(text).hexdigest()}.nii.gz"
        if self.random.random() < 0.3:
            return "100644", f"/annex/objects/{key}\n".encode()
        return "120000", f"../../.git/annex/objects/Xx/yY/{key}/{key}".encode()

    def place(self) -> str:
        who = self.random.choice(PEOPLE)
        number = self.random.randrange(3)
        return self.random.choice(
            [
                f"{who}/anat/{who}_run-{number}_T1w.nii.gz",
                f"derivatives/{who}_{number}.nii.gz",
                f"derivatives/mean {number}.nii.gz",
                f"group/map-{number}.nii.gz",
                f"group/.hidden-{number}",
                f"code/script{number}.py",
                f"ünï/[x]{number}.txt",
            ]
        )

    def free(self, tree: Tree) -> str:
        """A place where neither a file nor a directory is in the way."""
        while True:
            path = self.place()
            if not any(p.startswith(f"{path}/") or path.startswith(f"{p}/") for p in tree):
                return path

    # -- what happens --------------------------------------------------------------------

    def tell(self, steps: int) -> None:
        tree: Tree = {".datalad/config": ("100644", config(self.dsid))}
        if self.below:
            tree[SUBDATASET] = self.below.first()
        for _ in range(4):
            tree[self.free(tree)] = self.content()
        self.branches["main"] = (self.writer.commit("main", tree, "Begin", []), tree)
        acts = [self.add, self.run, self.run, self.run, self.rerun, self.move, self.copy]
        acts += [self.delete, self.toggle, self.branch, self.branch, self.merge, self.merge]
        acts += [self.committing, self.broken, *([self.advance] * 2 if self.below else [])]
        for _ in range(steps):
            self.random.choice(acts)()

    def pick(self) -> tuple[str, int, Tree]:
        name = self.random.choice(sorted(self.branches))
        at, tree = self.branches[name]
        return name, at, dict(tree)

    def done(self, name: str, tree: Tree, text: str, parents: list[int]) -> None:
        self.branches[name] = (self.writer.commit(name, tree, text, parents), tree)

    def files(self, tree: Tree) -> list[str]:
        return sorted(p for p, (mode, _) in tree.items() if p[0] != "." and mode != "160000")

    def add(self) -> None:
        name, at, tree = self.pick()
        tree[self.free(tree)] = self.content()
        self.done(name, tree, "Add", [at])

    def delete(self) -> None:
        name, at, tree = self.pick()
        for path in self.random.sample(self.files(tree), min(1, len(self.files(tree)))):
            del tree[path]
            self.happened["delete"] += 1
        self.done(name, tree, "Delete", [at])

    def move(self) -> None:
        self.copy(keep=False)

    def copy(self, keep: bool = True) -> None:
        name, at, tree = self.pick()
        if files := self.files(tree):
            path = self.random.choice(files)
            entry = tree[path] if keep else tree.pop(path)
            tree[self.free(tree)] = entry
            self.happened["copy" if keep else "rename"] += 1
        self.done(name, tree, "Copy", [at])

    def toggle(self) -> None:
        """One file back and forth, by runs."""
        name, _, tree = self.pick()
        if not self.files(tree):
            return
        path = self.random.choice(self.files(tree))
        old = tree[path]
        for entry in (self.content(), old, self.content(), old):
            tree = {**tree, path: entry}
            self.done(name, tree, message(record([path])), [self.branches[name][0]])
        self.happened["toggle"] += 1

    def inputs(self, tree: Tree) -> tuple[list[str], str]:
        """Patterns, and the directory they are relative to."""
        files = self.files(tree)
        found: list[str] = []
        for _ in range(self.random.choice([0, 1, 1, 2, 2, 3])):
            one = self.random.choice(files or ["nothing"])
            directory, _, name = one.rpartition("/")
            ways = [one, one, directory or one, f"{directory or '.'}/*", "sub-0[12]/*/*", "**/*.py"]
            ways += [
                f"{one[:-2]}??",
                "*/*1*",
                "./" + one,
                f"{directory}//{name}" if directory else one,
            ]
            ways += ["sub-*", "derivatives/**"]
            if SUBDATASET in tree:
                ways += [SUBDATASET, f"{SUBDATASET}/sub-*", "inputs/*/derivatives", "inputs"]
            found.append(self.random.choice(ways))
            self.happened["pattern"] += "*" in found[-1] or "?" in found[-1]
        if self.random.random() < 0.2:
            self.happened["pwd"] += 1
            return [f"../{one}" for one in found], "code"
        return found, "."

    def run(self) -> None:
        name, at, tree = self.pick()
        given, pwd = self.inputs(tree)
        made: dict[str, object] = record(given, pwd, self.dsid)
        if self.random.random() < 0.2:
            up = "../" if pwd == "code" else ""
            made["extra_inputs"] = [f"{up}.datalad/environments/x/image", *given[:1]]
            self.happened["container"] += 1
        self.records.append(made)
        self.write_run(name, at, tree, made)

    def rerun(self) -> None:
        if self.records:
            name, at, tree = self.pick()
            made = {**self.random.choice(self.records), "chain": ["0" * 40]}
            self.happened["rerun"] += 1
            self.write_run(name, at, tree, made)

    def write_run(self, name: str, at: int, tree: Tree, made: dict[str, object]) -> None:
        for _ in range(self.random.choice([1, 1, 2, 3])):
            tree[self.free(tree)] = self.content()
        if self.random.random() < 0.15:  # a file is also passed on as it is
            files = self.files(tree)
            tree[self.free(tree)] = tree[self.random.choice(files)]
        self.happened["run"] += 1
        sidecar = self.random.random() < 0.2
        if self.below and SUBDATASET in tree and self.random.random() < 0.4:
            text = message(made)
            if sidecar:
                text = message(hashlib.md5(json.dumps(made).encode()).hexdigest())
            tree[SUBDATASET] = self.below.advance(tree[SUBDATASET], text)
            self.happened["below"] += 1
        if sidecar:
            self.happened["sidecar"] += 1
            text = json.dumps(made).encode()
            token = hashlib.md5(text).hexdigest()
            tree[f".datalad/runinfo/{token}"] = ("100644", lzma.compress(text))
            self.done(name, tree, message(token), [at])
            return
        self.done(name, tree, message(made), [at])

    def committing(self) -> None:
        """A run whose command commits by itself: a merge of that into what it started from."""
        name, at, tree = self.pick()
        given, pwd = self.inputs(tree)
        job, last = f"own{self.writer.marks}", at
        for _ in range(self.random.choice([1, 1, 2, 3])):
            if self.random.random() < 0.3 and self.files(tree):
                del tree[self.random.choice(self.files(tree))]
            tree[self.free(tree)] = self.content()
            inner = message(record(self.inputs(tree)[0], ".", self.dsid))
            text = inner if self.random.random() < 0.2 else "By itself"
            last = self.writer.commit(job, tree, text, [last])
        if self.random.random() < 0.2:
            tree[self.free(tree)] = self.content()
        self.happened["committing"] += 1
        self.done(name, tree, message(record(given, pwd, self.dsid)), [at, last])

    def advance(self) -> None:
        """Another commit of the subdataset, by hand or by a run of its own."""
        name, at, tree = self.pick()
        if self.below and SUBDATASET in tree:
            given = self.random.choice([["sub-*"], ["."], ["derivatives"], ["no/such"]])
            text = self.random.choice(["Add", message(record(given, ".", SUB_DSID))])
            tree[SUBDATASET] = self.below.advance(tree[SUBDATASET], text)
            self.happened["advanced"] += 1
            self.done(name, tree, "Update", [at])

    def broken(self) -> None:
        """Records that nobody can read, or that ask for what nobody can find."""
        name, at, tree = self.pick()
        tree[self.free(tree)] = self.content()
        texts = [
            message(record(["no/such/file"])),
            message(record(["../outside"])),
            message(record(["/etc/passwd"])),
            message(record(["group"], dsid=OTHER_DSID)),
            message("0123456789abcdef"),
            message("../../etc/passwd"),
            message(record(["x"])).replace('"cmd"', '"cmd'),
            "[DATALAD RUNCMD] lost\n",
            message({**record([]), "inputs": "sub-01"}),
            message(record(["code"])).partition("^^^")[0],
        ]
        self.happened["broken"] += 1
        self.done(name, tree, self.random.choice(texts), [at])

    def branch(self) -> None:
        _, at, tree = self.pick()
        if len(self.branches) < 5:
            name = f"job{len(self.branches)}"
            tree[self.free(tree)] = self.content()
            self.done(name, tree, "Branch", [at])

    def merge(self) -> None:
        """All branches or some, in one merge; sometimes with a content of its own."""
        names = self.random.sample(sorted(self.branches), len(self.branches))
        if len(names) < 2:
            return
        names = names[: self.random.choice([2, len(names)])]
        self.happened["octopus" if len(names) > 2 else "merge"] += 1
        tree: Tree = {}
        for name in names:
            for path, entry in self.branches[name][1].items():
                way = (p for p in tree if p.startswith(f"{path}/") or path.startswith(f"{p}/"))
                if next(way, None) is None and (path not in tree or self.random.random() < 0.5):
                    tree[path] = entry
        if self.random.random() < 0.4:
            self.happened["evil"] += 1
            tree[self.random.choice(self.files(tree) or ["x"])] = self.content()
        parents = [self.branches[name][0] for name in names]
        if len(set(parents)) == len(parents):
            self.done(names[0], tree, "Merge", parents)

    def write(self) -> None:
        """Make it."""
        if self.below:
            self.writer.write(bare=False, below=self.below.write())
        else:
            self.writer.write(bare=self.bare)


class Below:
    """The subdataset of a story: a tree of commits, each kept by a branch of its own."""

    def __init__(self, story: Story):
        self.story = story
        self.writer = Writer(story.writer.repo / SUBDATASET)
        self.trees: dict[int, Tree] = {}

    def first(self) -> tuple[str, bytes]:
        tree: Tree = {".datalad/config": ("100644", config(SUB_DSID))}
        for _ in range(3):
            tree[self.story.free(tree)] = self.story.content()
        return self._commit(tree, "Begin", [])

    def advance(self, gitlink: tuple[str, bytes], text: str) -> tuple[str, bytes]:
        parent = int(gitlink[1].strip(b"@"))
        tree = dict(self.trees[parent])
        tree[self.story.free(tree)] = self.story.content()
        return self._commit(tree, text, [parent])

    def _commit(self, tree: Tree, text: str, parents: list[int]) -> tuple[str, bytes]:
        mark = self.writer.commit(f"s{self.writer.marks}", tree, text, parents)
        self.trees[mark] = tree
        return "160000", f"@{mark}@".encode()

    def write(self) -> dict[int, str]:
        return self.writer.write(bare=False)


def random_history(seed: int, repo: Path) -> Counter[str]:
    """Write the history of this number, and return what happened in it.

    Every fourth has a subdataset.
    """
    story = Story(seed, repo, bare=bool(seed % 4))
    if seed % 4 == 0:
        story.below = Below(story)
    story.tell(story.random.randrange(5, 16))
    story.write()
    return story.happened
