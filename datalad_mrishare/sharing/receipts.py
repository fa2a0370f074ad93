"""A receipt for one participant: what was said, what it permits, where the data went.

Plain language in Markdown, worded by :mod:`.wording`. Nobody else appears in it: no label, no
file of several people by name, no size or figure that others add to. What the text says about
sharing comes from the events of publications (:mod:`.holdings`) and from nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from ..consent.forms import Form
from ..consent.grants import Deid, Grant
from ..consent.records import Basis, Record, State, is_participant
from ..consent.resolution import Registry, Resolution, Resolver
from ..consent.scopes import FileScope, Scope
from ..errors import InputError, Refused
from ..repo.events import read_events
from ..repo.worktree import Checkout
from .facts import Kind, facts_of
from .holdings import Figures, Place, places
from .origins import node_of
from .plans import natural
from .policies import format_size
from .registry import read_file_at
from .snapshot import Snapshot, take_snapshot
from .wording import RECEIPT_FILE, Wording, link, load_wording, plain


@dataclass(frozen=True)
class Subject:
    """Whom a receipt is about, on which day, and the files that are of nobody else.

    ``known`` is the last day of recording that counts, None for all.
    """

    participant: str
    day: date
    files: Sequence[tuple[FileScope, int]] = ()
    known: date | None = None


def make_receipt(checkout: Checkout, participant: str, at: date | None = None) -> str:
    """The receipt of a participant as Markdown; with ``at``, as of that day.

    Raises
    ------
    InputError
        When nobody knows the participant, or the dataset's wording cannot be understood.
    Refused
        When the text would name another participant.
    """
    state = take_snapshot(checkout)
    who = _known(state, participant)
    content = read_file_at(checkout, state.commit, RECEIPT_FILE)
    try:
        text = None if content is None else content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InputError(f"is not UTF-8 (byte {exc.start})", where=RECEIPT_FILE) from exc
    subject = Subject(who, at or date.today(), _files(state, who), at)
    events = read_events(checkout.path, state.commit)
    receipt = write_receipt(subject, state.registry, events, load_wording(text))
    refuse_others(receipt, who, state.participants)
    return receipt


def _files(state: Snapshot, participant: str) -> list[tuple[FileScope, int]]:
    """Scope and size of the files that are of the participant and of nobody else."""
    # only what may be: a file says whose it is in its path, in its key, in a table, or by lineage
    made = state.lineage.of(participant)
    entries = [
        e
        for e in state.entries
        if participant in e.path
        or participant in (e.key or "")
        or e.path.endswith(".tsv")
        or node_of(e) in made
    ]
    return [
        (f.scope, f.size or 0)
        for f in facts_of(entries, state.contents, {}, (), state.origins())
        if f.participants == {participant} and f.kind not in (Kind.EXCLUDED, Kind.GITLINK)
    ]


def _known(state: Snapshot, text: str) -> str:
    for name in (text, f"sub-{text}"):
        if name in state.participants:
            return name
    raise InputError(
        "is not a participant of this dataset" if is_participant(text) else "is not a participant",
        where=text[:60] or "--receipt",
        remedy="See all participants: datalad mrishare-consent",
    )


def refuse_others(receipt: str, participant: str, everyone: Collection[str]) -> None:
    """Raise :class:`Refused` if the text names anybody else, however it came in."""
    others = {p.lower() for p in everyone} - {participant.lower()}
    # as far as a label can reach, and each shorter label that it may begin with
    for found in re.findall(r"sub-[a-z0-9+]+", receipt.lower()):
        if found != participant.lower() and (found in others or found.split("+")[0] in others):
            raise Refused(
                f"would name another participant, {found}, so it was not written",
                where=f"the receipt of {participant}",
                remedy=f"Look for that name in the forms, the names of siblings and {RECEIPT_FILE}",
            )


def write_receipt(
    subject: Subject,
    registry: Registry,
    events: Sequence[Mapping[str, Any]],
    wording: Wording,
) -> str:
    """The text of a receipt; pure.

    Parameters
    ----------
    subject : Subject
        The participant, the day, the files.
    registry : Registry
        Forms and records, also of others: only those of the participant are looked at.
    events : sequence of mapping
        All events, oldest first.
    wording : Wording
        The parts that it is made of.
    """
    common = {"participant": plain(subject.participant), "day": subject.day.isoformat()}
    writer = _Writer(subject, registry, replace(wording, common=common))
    return writer.receipt(places(events, subject.participant, subject.known))


class _Writer:
    """Writes the sections of one receipt."""

    def __init__(self, subject: Subject, registry: Registry, wording: Wording):
        self.subject, self.forms, self.say = subject, registry.forms, wording.say
        mine = [
            r
            for r in registry.records
            if r.participant_id == subject.participant
            and (subject.known is None or r.recorded <= subject.known)
        ]
        self.records = sorted(mine, key=lambda r: (r.from_, r.recorded))
        self.resolver = Resolver(
            Registry(registry.forms, tuple(mine)), subject.day, known=subject.known
        )

    def receipt(self, found: Sequence[Place]) -> str:
        resolved = self.resolved()
        nothing = all(r.grant.is_bottom for r, _ in resolved)
        shared, kept = [p for p in found if not p.own], [p for p in found if p.own]
        there = [p.sibling for p in found if p.now != Figures() or p.together]
        text = self.say(
            "receipt",
            records="\n".join(self.record(r) for r in self.records) or self.say("records-none"),
            permits="\n\n".join(self.permits(r, files) for r, files in resolved),
            shared=self.places("shared", [self.place(p, nothing) for p in shared]),
            kept=self.places("kept", [self.kept(p, nothing) for p in kept]),
            contact=self.say("contact"),
            forms="\n\n".join(self.form_withdrawals()),
            # as they stand in a command: names that git would refuse are not in there
            publish="\n    ".join(self.say("publish", sibling=n) for n in there if _is_name(n)),
        )
        lines = (line.rstrip() for line in text.split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"

    # -- what was said

    def record(self, record: Record) -> str:
        """A record, and what it permits at most."""
        common = {"from": record.from_.isoformat(), "scope": self.scope(record.scope)}
        form = self.forms[record.form] if record.form else None
        if form and record.state is State.GIVEN:
            grant = replace(form.grant, until=form.end(record.from_, record.until))
            said = {**common, "form": _form_name(form), "terms": self.terms(grant)}
            if record.basis is Basis.CONSENT:
                text = self.say("given", by=self.say(f"by-{record.by}"), **said)
            else:
                basis = self.say(f"basis-{record.basis}")
                text = self.say("given-otherwise", basis=basis, **said)
            return "\n".join(filter(None, (text, self.lifted(record))))
        if record.state is State.WITHDRAWN:
            then = self.say(f"then-{record.then or 'stop-use'}")
            return self.say("withdrawn", then=then, **common)
        if form and record.state in (State.REFUSED, State.INVALID):
            return self.say(f"{record.state}-form", form=_form_name(form), **common)
        return self.say(str(record.state), **common)

    def lifted(self, record: Record) -> str:
        days = sorted(r.from_.isoformat() for r in self.records if r.record in record.lifts)
        return self.say("lifts", days=", ".join(days)) if days else ""

    def terms(self, grant: Grant) -> str:
        """What a grant permits, a line for each component."""
        deid = "none" if grant.deid is None else Deid(grant.deid).word
        return self.say(
            "terms",
            reach=self.say(f"reach-{grant.reach.word}"),
            use=self.listed("use", grant.words("use")),
            region=self.listed("region", grant.words("region")),
            duty=self.listed("duty", grant.words("duty")),
            deid=self.say(f"deid-{deid}"),
            until=self.until(grant.until),
        )

    def listed(self, component: str, words: Iterable[str]) -> str:
        return ", ".join(self.word(component, w) for w in words) or self.say(f"{component}-none")

    def word(self, component: str, word: str) -> str:
        if component == "use" and word.startswith("DS:"):
            return self.say("use-DS", disease=plain(word.removeprefix("DS:")))
        if component == "region" and word not in ("any", "EEA", "adequate"):
            return word  # a country by its code
        return self.say(f"{component}-{word}")

    def until(self, day: date | None) -> str:
        return self.say("until-none") if day is None else self.say("until", date=day.isoformat())

    def scope(self, scope: Scope) -> str:
        """What a record is about; patterns of paths may name others, so they are not shown."""
        if not scope.entities:
            return self.say("scope-all")
        parts = [
            self.say("scope-path")
            if name == "path"
            else self.say(f"scope-{name}", values=plain(", ".join(values)))
            for name, values in scope.entities
        ]
        return self.say("scope-some", parts="; ".join(parts))

    def form_withdrawals(self) -> list[str]:
        """What the forms that were given say about withdrawing."""
        given = dict.fromkeys(r.form or "" for r in self.records if r.state is State.GIVEN)
        texts = [(self.forms[f], self.forms[f].withdrawal) for f in given]
        return [
            self.say("form-withdrawal", form=plain(form.title or form.id), text=plain(text))
            for form, text in texts
            if text
        ]

    # -- what is permitted

    def resolved(self) -> list[tuple[Resolution, list[tuple[FileScope, int]]]]:
        """The participant's files by what holds for them; without files, what would hold."""
        participant = self.subject.participant
        groups: dict[tuple[Grant, str, Record | None], Any] = {}
        for scope, size in self.subject.files:
            found = self.resolver.resolve(participant, scope)
            key = (found.grant, found.state, found.record)
            groups.setdefault(key, (found, []))[1].append((scope, size))
        return list(groups.values()) or [(self.resolver.resolve(participant), [])]

    def permits(self, found: Resolution, files: Sequence[tuple[FileScope, int]]) -> str:
        which = "all" if len(files) == len(self.subject.files) else "some"
        words: dict[str, object] = {}
        if not files:
            which = "no-data"
        else:
            words = {"files": len(files), "size": format_size(sum(size for _, size in files))}
        if which == "some":
            sessions = any("ses" in r.scope.names for r in self.records)
            words["kinds"] = _kinds(files, sessions, self.say("kind-other"))
        if found.grant.is_bottom:
            return self.say(f"nothing-{which}", why=self.why(found, files), **words)
        return self.say(f"permits-{which}", terms=self.terms(found.grant), **words)

    def why(self, found: Resolution, files: Sequence[tuple[FileScope, int]]) -> str:
        """Why nothing is permitted."""
        record = found.record
        if record is None:
            waiting = any(r.from_ > self.subject.day for r in self.records)
            return self.say("why-later" if waiting else "why-none")
        if found.state == "expired":
            return self.say(
                "why-expired", until=self.ended(record, files[0][0] if files else FileScope())
            )
        if found.state == State.GIVEN.value:
            return self.say("why-given")
        return self.say(f"why-{found.state}", **{"from": record.from_.isoformat()})

    def ended(self, record: Record, file: FileScope) -> date:
        """The first day without permission for a file: the earliest end of all that counts.

        That is everything that was given on the day of the deciding record or later, see
        :mod:`~..consent.resolution`.
        """
        ends = [
            self.forms[r.form or ""].end(r.from_, r.until)
            for r in self.records
            if r.state is State.GIVEN
            and record.from_ <= r.from_ <= self.subject.day
            and r.scope.covers(file)
        ]
        return min(end for end in ends if end is not None)

    # -- where the data went

    def places(self, part: str, found: Sequence[str]) -> str:
        return self.say(part, places="\n\n".join(found)) if found else self.say(f"{part}-none")

    def place(self, place: Place, nothing: bool) -> str:
        """A shared place: each publication that changed something, and how it stands."""
        now = "now"
        if place.left and place.fewer:
            now = "now-left"
        elif nothing and (place.now.files or place.together):
            now = "now-forbidden"
        return self.say(
            "place",
            sibling=plain(place.sibling),
            reach=self.say(f"reach-{place.reach.word}"),
            steps=self.steps(place, nothing),
            now=self.say(now, date=place.last.isoformat()),
        )

    def kept(self, place: Place, nothing: bool) -> str:
        steps = self.steps(place, nothing)
        return self.say("kept-place", sibling=plain(place.sibling), steps=steps)

    def steps(self, place: Place, nothing: bool) -> str:
        """What each publication changed, and a line on files of several people.

        When those came back may be the decision of somebody else, so it is told only to a
        participant who permits nothing any more.
        """
        before, lines = Figures(), []
        for step in place.steps:
            lines.append(self.step(step.day, before, step.figures))
            before = step.figures
        if place.ever_together:
            part = "together"
            if nothing:
                part = "together-there" if place.together else "together-gone"
            lines.append(self.say(part))
        return "\n".join(lines)

    def step(self, day: date, before: Figures, now: Figures) -> str:
        """What a publication left there."""
        words = {"date": day.isoformat(), "files": now.files, "size": format_size(now.size)}
        if not now.counted:
            return self.say("uncounted", date=day.isoformat())
        if now.files:
            lines = [self.say("fewer" if now.files < before.files else "there", **words)]
        else:
            had = before.files or not before.counted
            lines = [self.say("gone" if had else "no-content", date=day.isoformat())]
        if now.listed:
            lines.append(self.say("listed", files=now.listed))
        if now.tables:
            lines.append(self.say("tables", tables=now.tables))
        return "\n".join(lines)


def _is_name(sibling: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", sibling) is not None


def _form_name(form: Form) -> str:
    """The form by its title, with its name and where its text is."""
    name = f"{plain(form.title)} ({plain(form.id)})" if form.title else plain(form.id)
    return f"{name}, {link(form.source)}" if form.source else name


def _kinds(files: Iterable[tuple[FileScope, int]], sessions: bool, other: str) -> str:
    """``anat (T1w), func (bold, events)``, with sessions where records tell them apart."""
    found: dict[str, set[str]] = {}
    for scope, _ in files:
        kind = plain(scope.datatype or scope.suffix or "") or other
        if sessions and scope.ses:
            kind = f"ses-{plain(scope.ses)} {kind}"
        suffixes = found.setdefault(kind, set())
        if scope.datatype and scope.suffix:
            suffixes.add(plain(scope.suffix))
    return ", ".join(
        f"{kind} ({', '.join(sorted(found[kind]))})" if found[kind] else kind
        for kind in sorted(found, key=natural)
    )
