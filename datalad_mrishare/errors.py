"""Everything this package raises, in one tree.

::

    MriShareError           what was wrong, where, and what to do next
    |- InputError           a file or value of the user's cannot be accepted
    |- NotRegistered        the dataset is not registered yet
    |- SiblingError         a sibling is missing, not empty, not declared, out of reach
    |- Refused              a whole command was refused before it changed anything
    |- Busy                 another process holds the lock and did not let go in time
    `- RepoError            git or git-annex failed
       `- NotTaken          a sibling did not take the names of what it has the content of

A refusal by policy of single files is not an error: it is a result record.
"""

from __future__ import annotations


class MriShareError(Exception):
    """One sentence on what was wrong, where it was, and the next thing to type.

    Parameters
    ----------
    what : str
        What was wrong, without a full stop.
    where : str, optional
        The file, line, sibling or participant concerned.
    remedy : str, optional
        What to do, preferably a command.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None):
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        # keyword-only arguments survive pickling (pytest-xdist, multiprocessing)
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(
    kind: type[MriShareError], what: str, where: str | None, remedy: str | None
) -> MriShareError:
    return kind(what, where=where, remedy=remedy)


class InputError(MriShareError):
    """A file or value given by the user cannot be accepted; nothing was changed."""


class NotRegistered(MriShareError):
    """The dataset has not been registered."""


class SiblingError(MriShareError):
    """A sibling is missing, not empty, not declared or cannot be reached."""


class Refused(MriShareError):
    """A command was refused as a whole, before anything was changed."""


class Busy(MriShareError):
    """Another process works on the same thing and did not finish in time."""


class RepoError(MriShareError):
    """git or git-annex did not do what was asked."""


class NotTaken(RepoError):
    """A sibling did not take the git half, while content may have arrived there."""
