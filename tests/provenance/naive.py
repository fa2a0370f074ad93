"""The participants of every content by brute force, to compare the lineage with.

Each commit is listed by a ``git ls-tree`` of its own, every path is held against every
pattern, and sets grow until nothing changes. Nothing of the package is used.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import lzma
import posixpath
import re
import subprocess
from functools import lru_cache
from pathlib import Path

EMPTY = {
    "git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "MD5E-s0--d41d8cd98f00b204e9800998ecf8427e",
}
Paths = dict[str, str]
"""Path -> the name of the content there."""


def git(repo: Path, *argv: str) -> bytes:
    return subprocess.run(["git", *argv], cwd=repo, capture_output=True, check=True).stdout


def glob_matches(parts: tuple[str, ...], names: tuple[str, ...]) -> bool:
    """Whether a pattern means a path, or a directory that it is below."""
    if not parts:
        return True  # all below a directory that matches
    if parts[0] == "**":
        if glob_matches(parts[1:], names) and (len(parts) > 1 or names):
            return True
        return bool(names) and names[0][0] != "." and glob_matches(parts, names[1:])
    if not names or (names[0][0] == "." and parts[0][0] != "." and set(parts[0]) & set("*?[")):
        return False
    return fits(parts[0], names[0]) and glob_matches(parts[1:], names[1:])


@lru_cache(None)
def fits(part: str, name: str) -> bool:
    return name == part or fnmatch.fnmatchcase(name, part)


class Naive:
    """One repository, and below ``subdataset`` another."""

    def __init__(
        self, repo: Path, subdataset: str = "", above: Naive | None = None, prefix: str = ""
    ):
        self.repo, self.prefix, self.above = repo, prefix, above
        self.own: dict[str, set[str]] = {}
        self.steps: list[tuple[bool, set[str], set[str]]] = []
        self.same: set[tuple[str, str]] = set()
        self.by_record: dict[str, tuple[bool, set[str]]] = {}
        self.names = self._names()
        self.below = Naive._bare(repo / subdataset, f"{subdataset}/") if subdataset else None
        self.subdataset = subdataset
        self.trees: dict[str, Paths] = {}
        raw = git(repo, "log", "--all", "--reverse", "--topo-order", "--format=%H %P%n%B%x00")
        for one in raw.decode("utf-8", "surrogateescape").split("\0"):
            head, _, text = one.strip("\n").partition("\n")
            if head:
                self._commit(head.split(), text)
        if subdataset:
            Naive(repo / subdataset, "", self, f"{subdataset}/")._hand_over(self)

    @staticmethod
    def _bare(repo: Path, prefix: str) -> Naive:
        """Only good for listing trees."""
        found = object.__new__(Naive)
        found.repo, found.prefix, found.below, found.trees = repo, prefix, None, {}
        found.names = found._names()
        return found

    def _hand_over(self, top: Naive) -> None:
        for node, people in self.own.items():
            top.own.setdefault(node, set()).update(people)
        top.steps += self.steps
        top.same |= self.same

    def _names(self) -> dict[str, str]:
        """Blob -> the name of its content."""
        argv = ["cat-file", "--batch-all-objects", "--batch"]
        raw, found = git(self.repo, *argv), {}
        self.digests: dict[str, str] = {}
        while raw:
            head, _, rest = raw.partition(b"\n")
            oid, kind, size = head.decode().split()
            content, raw = rest[: int(size)], rest[int(size) + 1 :]
            key = re.fullmatch(rb"(?:.*/)?annex/objects/(?:.*/)?([^/\n]+)\n?", content)
            if content.startswith(b"[datalad"):
                self.config = content.decode()
            self.digests[f"git:{oid}"] = hashlib.md5(content).hexdigest()
            if kind == "blob":
                found[oid] = key[1].decode() if key else f"git:{oid}"
        return found

    def listed(self, commit: str) -> Paths:
        """A commit's paths, those of the subdataset included as if they were its own."""
        if commit not in self.trees:
            found: Paths = {}
            for line in git(self.repo, "ls-tree", "-r", "-z", commit).split(b"\0")[:-1]:
                head, _, path = line.decode("utf-8", "surrogateescape").partition("\t")
                mode, _, oid = head.split()
                if mode != "160000":
                    found[path] = self.names[oid]
                elif self.below is not None:
                    for rest, node in self.below.listed(oid).items():
                        found[f"{path}/{rest}"] = node
            self.trees[commit] = found
        return self.trees[commit]

    def _commit(self, ids: list[str], text: str) -> None:
        commit, *parents = ids
        now = self.listed(commit)
        for path, node in now.items():
            whole = f"{self.prefix}{path}"
            people = re.findall(r"(?<![A-Za-z0-9])sub-[A-Za-z0-9]+", whole)
            self.own.setdefault(node, set()).update(() if node in EMPTY else people)
        before = [self.listed(parent) for parent in parents]
        old = before[0] if before else {}
        inside = f"{self.subdataset}/"
        if len(parents) == 1:
            here = (p for p in now if not self.subdataset or not p.startswith(inside))
            pairs = ((old[p], now[p]) for p in here if p in old and old[p] != now[p])
            self.same.update(pair for pair in pairs if len({*map(self._digest, pair)}) == 1)
        theirs = {p for p in now if self.subdataset and p.startswith(inside)}
        kept = {p for p in now if p.startswith((".datalad/", f"{inside}.datalad/"))}
        step = self._step(commit, text, old)
        if len(parents) > 1 and step is not None:
            made = self._changed(commit, parents[0])
            self.steps.append((step[0], step[1], made - step[1]))
            return
        if len(parents) > 1:
            own = ({p: n for p, n in tree.items() if not p.startswith(inside)} for tree in before)
            there = {
                node for tree in (own if self.subdataset else before) for node in tree.values()
            }
            made = {now[p] for p in set(now) - kept - theirs} - there
            self.steps += [(True, set(), made)] if made else []
            return
        made = {now[p] for p in set(now) - kept if old.get(p) != now[p]}
        if step is not None:
            opaque, inputs = step
            self.steps.append((opaque, inputs, made - inputs))

    def _digest(self, node: str) -> str:
        return self.digests.get(node) or node.partition("--")[2].partition(".")[0]

    def _changed(self, merge: str, first: str) -> set[str]:
        """What a merge, and every commit that its first parent has not, put where it stood not."""
        pairs = [(merge, first)]
        lines = git(self.repo, "rev-list", "--parents", f"{merge}^2", f"^{first}").decode()
        pairs += [(one[0], one[1]) for one in map(str.split, lines.splitlines())]
        found = set()
        for commit, before in pairs:
            now, old = self.listed(commit), self.listed(before)
            found |= {now[p] for p in now if ".datalad/" not in p and old.get(p) != now[p]}
        return found

    def _step(self, commit: str, text: str, old: Paths) -> tuple[bool, set[str]] | None:
        if "=== Do not change" not in text:
            return (True, set()) if text.startswith("[DATALAD RUNCMD]") else None
        rest = text.split("=== Do not change lines below ===")[1]
        told, end, _ = rest.partition("^^^ Do not change lines above ^^^")
        try:
            assert end
            record = json.loads(told)
            if isinstance(record, str):
                assert re.fullmatch("[0-9a-f]+", record)
                argv = ["cat-file", "blob", f"{commit}:.datalad/runinfo/{record}"]
                record = json.loads(lzma.decompress(git(self.repo, *argv)))
            assert isinstance(record["inputs"], list)
        except subprocess.CalledProcessError:
            return self._above(told)
        except (AssertionError, ValueError):
            return True, set()
        if f"id = {record['dsid']}\n" not in self.config:
            return self._above(told)
        found = self._inputs(record, old)
        self.by_record[told.strip()] = found
        return found

    def _above(self, told: str) -> tuple[bool, set[str]]:
        """What the same record says in the dataset that this is part of."""
        known = self.above.by_record.get(told.strip()) if self.above else None
        return known or (True, set())

    def _inputs(self, record: dict[str, list[str]], old: Paths) -> tuple[bool, set[str]]:
        opaque, found = False, set()
        extra = [one for one in record["extra_inputs"] if ".datalad/environments/" not in one]
        for given in record["inputs"] + extra:
            path = posixpath.normpath(posixpath.join(record["pwd"], given))
            parts = () if path == "." else tuple(path.split("/"))
            if path.startswith("/"):
                opaque = True
                continue
            here = {n for p, n in old.items() if glob_matches(parts, tuple(p.split("/")))}
            found |= here
            opaque |= not here
        return opaque, found - EMPTY

    def answers(self) -> tuple[dict[str, set[str]], dict[str, bool]]:
        """Content -> participants, and whether nobody can tell."""
        people = {node: set(own) for node, own in self.own.items()}
        opaque = dict.fromkeys(people, False)
        changed = True
        for one, other in self.same - {(a, b) for a, b in self.same if EMPTY & {a, b}}:
            for _, inputs, outputs in self.steps:
                for nodes in (inputs, outputs):
                    nodes.update((one, other) if nodes & {one, other} else ())
            for node in (one, other):
                people[node] |= self.own[one] | self.own[other]
        self.steps = [(unknown, went, came - went) for unknown, went, came in self.steps]
        while changed:
            changed = False
            for unknown, inputs, outputs in self.steps:
                more = set().union(*(people[node] for node in inputs))
                dark = unknown or any(opaque[node] for node in inputs)
                for node in outputs - EMPTY:
                    if not more <= people[node] or (dark and not opaque[node]):
                        people[node] |= more
                        opaque[node] |= dark
                        changed = True
        return people, opaque
