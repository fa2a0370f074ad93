"""Copying a git repository or dataset: its history, then the content it has.

Content is copied from the source's annex by file, verified against its key: asking
git-annex to get it would write into the source (transfer records, its database).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, RepoError
from ..repo.ingest import check_out, fetch_history, has_annex_branch, init_annex, set_presence
from ..repo.keys import checksum, find_object, hasher, key_size, object_paths
from ..repo.process import annex, git, git_succeeds, git_text
from ..repo.trees import Entry, decode, read_tree
from ..repo.worktree import Checkout
from .findings import Finding, Kind, Progress


@dataclass(frozen=True)
class GitSource:
    """A repository to copy: its checkout or bare path, annex objects, branch and commit."""

    path: Path
    objects: Path
    branch: str
    commit: str

    def content(self, key: str) -> Path | None:
        """Where the source has the content of ``key``, or None."""
        return find_object(self.objects, key)


def is_repository(path: Path) -> bool:
    """Whether ``path`` is the top of a git repository, bare or not."""
    if os.path.lexists(path / ".git"):
        return True
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def open_source(path: Path) -> GitSource:
    """Look at a repository that is to be copied.

    Raises
    ------
    InputError
        When it has no commits.
    """
    common = Path(git_text(path, "rev-parse", "--git-common-dir"))
    objects = (path / common).resolve() / "annex/objects"
    head = git_text(path, "symbolic-ref", "-q", "--short", "HEAD", ok=(0, 1))
    # a copy starts from the branch behind an adjusted one
    branch = Checkout._behind(head) if head else "main"
    for ref in ([f"refs/heads/{branch}"] if head else []) + ["HEAD"]:
        if git_succeeds(path, "rev-parse", "-q", "--verify", f"{ref}^{{commit}}"):
            return GitSource(path, objects, branch, git_text(path, "rev-parse", ref))
    raise InputError(
        "the repository has no commits, so there is nothing to copy",
        where=os.fspath(path),
        remedy=f"Register it where it is: datalad mrishare-register {str(path)!r}",
    )


def check_source(source: GitSource) -> list[Finding]:
    """A finding when the source has files that no commit has: they are not copied."""
    if not os.path.lexists(source.path / ".git"):
        return []
    listed = git(source.path, "ls-files", "-z", "--others", "--exclude-standard")
    staged = git(source.path, "diff-index", "-z", "--cached", "--name-only", source.commit)
    paths = sorted({decode(p) for p in (listed + staged).split(b"\0") if p})
    if not paths:
        return []
    return [
        Finding(
            Kind.UNCOMMITTED,
            paths[0],
            f"{len(paths)} files of the source are not committed there and were not copied",
            f"Commit them (datalad save -d {str(source.path)!r}), then update the copy",
        )
    ]


def clone(source: GitSource, checkout: Checkout, progress: Progress) -> list[Finding]:
    """Bring history and content of ``source`` into the fresh repository ``checkout``.

    Can be interrupted anywhere and called again. Returns a finding for each object of
    the source that does not match its key; it is left out.
    """
    fetch_history(checkout, source.path)
    findings: list[Finding] = []
    if has_annex_branch(checkout.path):
        init_annex(checkout)
        entries = [e for e in read_tree(checkout.path, source.commit) if e.key]
        findings = _copy_content(source, checkout, entries, progress)
    tracking = {"remote": "origin", "merge": f"refs/heads/{source.branch}"}
    check_out(checkout, source.branch, source.commit, tracking)
    if has_annex_branch(checkout.path):
        # content of unlocked files; a hook would do this, but hooks are off
        annex(checkout.path, "smudge", "--update", env=checkout.identity)
    return findings


def _copy_content(
    source: GitSource, checkout: Checkout, entries: Iterable[Entry], progress: Progress
) -> list[Finding]:
    findings: list[Finding] = []
    keys = {e.key: e.path for e in entries if e.key}
    done = []
    objects = checkout.gitdir / "annex/objects"
    for number, (key, path) in enumerate(keys.items(), start=1):
        content = source.content(key)
        if content is not None and find_object(objects, key) is None:
            try:
                good = _copy_object(content, objects / object_paths(key)[0], key)
            except OSError as exc:
                raise RepoError(
                    f"content cannot be copied: {exc.strerror}",
                    where=path,
                    remedy="The source is untouched and the copy was taken back;"
                    " remove the cause and run this again",
                ) from exc
            if not good:
                findings.append(_corrupt(path))
        if find_object(objects, key):
            done.append(key)
        progress("copying content", number, len(keys))
    set_presence(checkout, done, here=True)
    return findings


def _copy_object(source: Path, target: Path, key: str) -> bool:
    """Copy one object into the annex; False when it is not what ``key`` says."""
    digest, size = hasher(key), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    os.chmod(target.parent, 0o755)
    temporary = target.with_name(".mrishare-copy")
    try:
        with open(source, "rb") as reader, open(temporary, "wb") as writer:
            while chunk := reader.read(1 << 20):
                size += len(chunk)
                if digest:
                    digest.update(chunk)
                writer.write(chunk)
        if key_size(key) not in (None, size) or (digest and digest.hexdigest() != checksum(key)):
            return False
        seen = source.stat()
        os.utime(temporary, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
        os.chmod(temporary, 0o444)
        os.rename(temporary, target)
        # the layout of git-annex: object and directory are write-protected
        os.chmod(target.parent, 0o555)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _corrupt(path: str) -> Finding:
    return Finding(
        Kind.CORRUPT,
        path,
        "the content in the source does not match its checksum and was not copied",
        "Run git annex fsck in the source, get a good copy there, then in the copy: git annex get",
    )
