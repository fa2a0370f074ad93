"""A registration in one sentence."""

from __future__ import annotations

from .inplace import Report

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def summary(report: Report, *, dry_run: bool = False) -> str:
    """What was done, or would be, and what there is now."""
    parts = [_done(report, dry_run), _holdings(report.counts)]
    found = sum(1 for f in report.findings if not f.is_note)
    if found:
        parts.append(f"{found} finding{'s' if found > 1 else ''} to look at, see above")
    return "; ".join(part for part in parts if part)


def _done(report: Report, dry_run: bool) -> str:
    added = _count(len(report.added), "new or changed file")
    if not report.changed:
        return "registered already, nothing is new"
    if dry_run:
        return f"would add {added}; nothing was written"
    if not report.counts["files"]:
        return "registered; there are no data yet"
    return f"registered with {added}" if report.added else "registered, no new files"


def _holdings(counts: dict[str, int]) -> str:
    if not counts["files"]:
        return "" if counts["files"] else "no files"
    text = f"{_count(counts['participants'], 'participant')}, {_count(counts['files'], 'file')}"
    text += f" ({counts['annexed']} in the annex"
    if counts["absent"]:
        text += f", the content of {counts['absent']} of them is not here"
    return f"{text}), {size(counts['bytes'])}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def size(count: int) -> str:
    """A number of bytes for people (powers of 1000).

    >>> size(1), size(1500), size(34_000_000)
    ('1 bytes', '1.5 kB', '34.0 MB')
    """
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError
