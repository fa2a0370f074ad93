"""What interrupted transfers left at a sibling: parts of content, where nobody looks for content.

git-annex and rsync keep what arrived of a file, to go on from there, and never remove it by
themselves. Where it lies was seen with git-annex 10.20261026 and rsync 3.2, each killed on its way:

=============== =====================================================================
git repository  ``annex/tmp/KEY``; ``annex/bad/KEY``, what a check there put aside
RIA store       ``ora-remote-UUID/transfer/KEY``
directory       ``tmp/KEY/KEY``
rsync           ``.rsync-partial/KEY`` beside the object, or ``.KEY.XXXXXX`` after a kill
WebDAV          ``git-annex-webdav-tmp-KEY``
plain files     ``NAME2b7-1-34f67.tmp`` beside the file, where the name has 16 bytes or fewer;
                of a longer one 16 bytes at its end are cut, and with them ``.tmp``:
                ``s23f1-8-2d75b58``; ``.git-annex-tmp-content-KEY``, what was to be renamed
=============== =====================================================================

A bucket shows nothing of an upload that was not finished, and of a server behind https nobody
can list what lies there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RepoError, SiblingError
from .cloud import CloudPlace
from .keys import key_named
from .process import complete
from .quota import delete_file, members_of
from .remotes import Place
from .ssh import GO_THERE, SshPlace

#: names that one call of a shell is given
_AT_ONCE = 100

_ON_DAV, _RENAMED = "git-annex-webdav-tmp-", ".git-annex-tmp-content-"
_KILLED_RSYNC = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}", re.DOTALL)
# process, counter and time in base 16; what was an extension in the cut name comes after them
_KILLED_EXPORT = re.compile(r".*[0-9a-f]+-[0-9a-f]+-[0-9a-f]{5,}(\.[^.]*)?", re.DOTALL)
_TIMED = re.compile(r"[0-9a-f]{1,8}-[0-9a-f]{1,8}-[0-9a-f]{5,9}")
#: bytes that git-annex leaves for what is put behind a name
_ADDED = 20
_CHUNK = re.compile(r"-S\d+-C\d+(?=--)")

# prints names below the place, each with a NUL behind; nothing is looked for behind a link
_BELOW = (
    GO_THERE
    + """
cd "$place" || exit 9
print() { find "$@" -type f -exec printf '%s\\0' {} +; }
plain() { for dir; do [ -d "$dir" ] && [ ! -L "$dir" ] || return 1; done; }
"""
)
_LISTS = {
    "git": """
for top in . .git; do
    plain "$top" "$top/annex" || continue
    for found in tmp bad; do
        if plain "$top/annex/$found"; then print "$top/annex/$found"; fi
    done
done
for store in ora-remote-*; do
    if plain "$store" "$store/transfer"; then print "$store/transfer"; fi
done
""",
    "directory": "if plain tmp; then print tmp; fi\n",
    "rsync": "print . \\( -path '*/.rsync-partial/*' -o -name '.*.??????' \\)\n",
    "files": """
print . -path ./.git -prune -o \\( -name '*[0-9a-f]-[0-9a-f]*-[0-9a-f]*[0-9a-f]*' -o \\
    -name '.git-annex-tmp-content-*' \\)
""",
}
# what is left of directories that held nothing else goes, too
_REMOVE = (
    GO_THERE
    + """
cd "$place" || exit 9
shift
for name; do
    rm -f -- "./$name" || continue
    case $name in */*) rmdir -p -- "${name%/*}" 2>/dev/null || : ;; esac
done
for name; do
    if [ -e "./$name" ]; then printf '%s\\0' "$name"; fi
done
"""
)


@dataclass(frozen=True)
class Leftover:
    """A part of something: its ``name`` below the place, its ``key`` where the name tells."""

    name: str
    key: str | None


def leftovers(place: Place, kind: str) -> list[Leftover]:
    """What interrupted transfers left at ``place``, storage of the given kind.

    Raises
    ------
    SiblingError
        When the place cannot be listed.
    """
    if isinstance(place, CloudPlace):
        names = _on_dav(place) if kind == "webdav" else iter(())
    else:
        said = _shell(place, _BELOW + _LISTS[kind], os.fspath(_path(place)))
        names = (name.removeprefix("./") for name in said.split("\0")[:-1])
    return [found for name in names if (found := _leftover(name, kind))]


def remove(place: Place, found: Sequence[Leftover]) -> dict[str, str]:
    """Remove them; the name of each that is still there, with the reason.

    Raises
    ------
    SiblingError
        When the place cannot be reached.
    """
    if isinstance(place, CloudPlace):
        return {f.name: said for f in found if (said := _delete(place, f.name))}
    kept: list[str] = []
    for start in range(0, len(found), _AT_ONCE):
        names = [f.name for f in found[start : start + _AT_ONCE]]
        kept += _shell(place, _REMOVE, os.fspath(_path(place)), *names).split("\0")[:-1]
    return dict.fromkeys(kept, "it cannot be removed there")


def _path(place: Path | SshPlace) -> str | Path:
    return place.path if isinstance(place, SshPlace) else place


def _shell(place: Path | SshPlace, script: str, *words: str) -> str:
    """What a POSIX shell prints, there or here."""
    if isinstance(place, SshPlace):
        return place.run(script, *words)
    done = complete(("sh", "-c", script, "sh", *words), place, timeout=None)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SiblingError(
            f"cannot be listed: {said[-1] if said else 'no reason given'}",
            where=str(place),
            remedy="Ask its owner for permission, then run this again",
        )
    return done.stdout.decode("utf-8", "surrogateescape")


def is_part_of(name: str, path: str) -> bool:
    """Whether ``name`` is what git-annex writes first where ``path`` is to be, beside it.

    >>> is_part_of("a/s23f1-8-2d75b58", "a/sub-03_T1w.nii.gz")
    True
    >>> is_part_of("a/scan-1-20260504.csv", "a/sub-03_T1w.nii.gz")
    False
    """
    (above, _, mine), (there, _, base) = name.rpartition("/"), path.rpartition("/")
    template = os.fsencode(f"{base}.tmp")
    if len(template) > _ADDED:
        template = template[: len(template) - _ADDED]
    kept = template.decode("utf-8", "ignore")
    begin, dot, end = kept.rpartition(".")
    begin, end = (begin, dot + end) if dot else (kept, "")
    if above != there or not (mine.startswith(begin) and mine.endswith(end)):
        return False
    return _TIMED.fullmatch(mine[len(begin) : len(mine) - len(end)]) is not None


def _leftover(name: str, kind: str) -> Leftover | None:
    """The part with this name; None for what no transfer of git-annex leaves.

    >>> _leftover("tmp/SHA256E-s9-S4-C1--ab.nii/SHA256E-s9-S4-C1--ab.nii", "directory").key
    'SHA256E-s9--ab.nii'
    >>> _leftover("a/b/MD5-s1--c/.MD5-s1--c.x9Yz01", "rsync").key
    'MD5-s1--c'
    >>> _leftover("sub-01/anat/sub-01_T1w.nii132a-b-3849409.tmp", "files").key is None
    True
    >>> _leftover("sub-01/anat/s23f1-8-2d75b58", "files").key is None
    True
    >>> _leftover("sub-01/notes.tmp", "files"), _leftover("annex/tmp/mine.txt", "git")
    (None, None)
    """
    last = name.rpartition("/")[2]
    if kind == "files" and not last.startswith(_RENAMED):
        return Leftover(name, None) if _KILLED_EXPORT.fullmatch(last) else None
    if kind == "rsync" and (killed := _KILLED_RSYNC.fullmatch(last)):
        last = killed[1]
    key = key_named(os.fsencode(last.removeprefix(_ON_DAV).removeprefix(_RENAMED)))
    if key is None:
        return None
    # who has not the cipher cannot tell whose content an encrypted object is
    return Leftover(name, None if key.startswith("GPGHMAC") else _CHUNK.sub("", key))


def _on_dav(place: CloudPlace) -> Iterator[str]:
    try:
        yield from (name for name in members_of(place) if name.startswith(_ON_DAV))
    except OSError as exc:
        raise SiblingError(
            f"does not tell what lies there: {exc.strerror or exc}",
            where=str(place),
            remedy="Try again later",
        ) from exc


def _delete(place: CloudPlace, name: str) -> str:
    """Why a file cannot be removed; nothing when it was."""
    try:
        delete_file(place, name)
    except (OSError, RepoError) as exc:
        return f"it cannot be removed there: {exc}"
    return ""
