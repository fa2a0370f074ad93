"""``datalad mrishare-consent``: records in, grants onto keys; the state of both; a receipt."""

from __future__ import annotations

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.support.param import Parameter

from .shared import (
    at_param,
    count,
    dataset_param,
    dry_run_param,
    error_record,
    open_checkout,
    parse_day,
    record,
    say,
    say_record,
    say_text,
)

ACTION = "mrishare-consent"


@build_doc
class Consent(Interface):
    """Import consent records and compile them onto annex keys; or show the state, or a receipt.

    With FILE (TSV, CSV, YAML or FHIR) its records are added to the registry of the dataset,
    all or none, and what everyone permits is written as git-annex metadata
    (mrishare-participant, mrishare-reach, ...) onto the keys. Importing a file again
    changes nothing. Without FILE: what is on record for each participant, what it permits and
    when that ends, how much of the dataset may go to each declared sibling, and who needs
    attention: data without a record, a record without data, an end within 90 days.

    With --receipt PARTICIPANT: a page for that participant in plain language (Markdown), with
    what is on record, what it permits, and where the data went. Nobody else appears in it.

    Columns: participant_id, state (given, refused, withdrawn, opted-out, invalid), form,
    from, and as needed until, by, basis, scope, then, lifts, evidence, record, recorded.

    With --map MAP a CSV exported from REDCap (or from any other form) is read by a column map,
    and HL7 FHIR R5 Consent resources (.json, one or a Bundle) by a map of their references
    and codes. What the map does not name is refused, never guessed. A column map:

        format: redcap
        participant_id: {column: record_id, prefix: sub-, digits: 2}
        state: {column: share_mri, values: {"1": given, "0": refused}, no_answer: [""]}
        form: obc-gdpr-ult-1.1.0
        from: {column: consent_date, date: DD.MM.YYYY}
    """

    result_renderer = "tailored"

    _examples_ = [
        {
            "text": "Add the records of a table",
            "code_cmd": "datalad mrishare-consent consent.tsv",
            "code_py": "mrishare_consent('consent.tsv')",
        },
        {
            "text": "Check a table without changing anything",
            "code_cmd": "datalad mrishare-consent consent.tsv --dry-run",
            "code_py": "mrishare_consent('consent.tsv', dry_run=True)",
        },
        {
            "text": "Add what was answered in REDCap, by a column map",
            "code_cmd": "datalad mrishare-consent export.csv --map redcap.yaml",
            "code_py": "mrishare_consent('export.csv', map='redcap.yaml')",
        },
        {
            "text": "Show the state, for programs",
            "code_cmd": "datalad -f json mrishare-consent",
            "code_py": "mrishare_consent()",
        },
        {
            "text": "Write a receipt for a participant",
            "code_cmd": "datalad mrishare-consent --receipt sub-07 > receipt.md",
            "code_py": "mrishare_consent(receipt='sub-07')",
        },
    ]

    _params_ = {
        "file": Parameter(
            args=("file",),
            metavar="FILE",
            nargs="?",
            doc="""records to import: TSV, CSV, a YAML list, or FHIR R5 Consent JSON.""",
        ),
        "map": Parameter(
            args=("--map",),
            metavar="MAP",
            doc="""YAML that tells what an export of another system means (format: redcap or
            fhir). A CSV with a map is read by its columns; see the documentation, "Consent".""",
        ),
        "receipt": Parameter(
            args=("--receipt",),
            metavar="PARTICIPANT",
            doc="""print a receipt for this participant instead of the state. The wording can be
            changed in .datalad/mrishare/receipt.md of the dataset.""",
        ),
        "dataset": dataset_param,
        "at": at_param,
        "dry_run": dry_run_param,
    }

    @staticmethod
    @datasetmethod(name="mrishare_consent")
    @eval_results
    def __call__(file=None, *, map=None, receipt=None, dataset=None, at=None, dry_run=False):
        from datalad.support.exceptions import InsufficientArgumentsError

        from ..errors import MriShareError

        if file and at:
            raise InsufficientArgumentsError("--at goes with the state, not with an import")
        if file and receipt is not None:
            raise InsufficientArgumentsError("--receipt prints a page and imports no FILE")
        if map and not file:
            raise InsufficientArgumentsError("--map goes with a FILE to import")
        ds, checkout = open_checkout(dataset, "consent")
        try:
            if file:
                yield _imported(ds, checkout, file, map, dry_run)
            elif receipt is not None:
                yield _receipt(ds, checkout, str(receipt), parse_day(at))
            else:
                yield from _state(ds, checkout, parse_day(at))
        except MriShareError as exc:
            yield error_record(ds, ACTION, exc)

    @staticmethod
    def custom_result_renderer(res, **_kwargs):
        render(res)


def _imported(ds, checkout, file, map_file, dry_run):
    from datetime import date

    from ..consent import parse_map
    from ..sharing.consents import import_consent

    data = _read(file)
    mapping = parse_map(_read(map_file), str(map_file)) if map_file else None
    done = import_consent(
        checkout, data, str(file), today=date.today(), dry_run=dry_run, mapping=mapping
    )
    changed = bool(done.new or done.keys)
    would = "would be " if dry_run else ""
    message = (
        f"{count(done.new, 'record')} of {count(done.participants, 'participant')} {would}added,"
        f" {done.known} known before; {count(done.keys, 'key')} {would}brought up to date"
    )
    if done.skipped:
        message += f"; {count(done.skipped, 'row')} without a decision left out"
    if done.to_decide:
        message += (
            f"; {count(len(done.to_decide), 'anonymous result')} with data of somebody who withdrew"
            f" since: decide about {', '.join(done.to_decide[:_NAMED])}"
            f"{', ...' if len(done.to_decide) > _NAMED else ''} with datalad mrishare-attest"
        )
    fields = {"new": done.new, "known": done.known, "keys": done.keys, "dry_run": dry_run}
    fields |= {"skipped": done.skipped, "to_decide": list(done.to_decide)}
    return record(ds, ACTION, "ok" if changed else "notneeded", message, **fields)


def _read(file):
    from pathlib import Path

    from ..errors import InputError

    try:
        return Path(file).read_bytes()
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", where=str(file)) from exc


def _receipt(ds, checkout, participant, at):
    from datetime import date

    from ..sharing.receipts import make_receipt

    text = make_receipt(checkout, participant, at)
    day = (at or date.today()).isoformat()
    message = f"receipt for {participant} as of {day}"
    fields = {"type": "receipt", "participant": participant, "receipt": text, "at": day}
    return record(ds, ACTION, "ok", message, **fields)


def _state(ds, checkout, at):
    from ..sharing.policies import format_size
    from ..sharing.states import consent_state

    state = consent_state(checkout, at)
    for person in state.participants:
        yield _person(ds, person, state.at)
    for share in state.siblings:
        part = f"{100 * share.size / share.of_size:.0f} %" if share.of_size else "0 %"
        yield record(
            ds,
            ACTION,
            "ok",
            f"{share.name}: may have {share.files} of {count(share.of_files, 'file')},"
            f" {format_size(share.size)} of {format_size(share.of_size)} ({part})",
            type="sibling",
            sibling=share.name,
            files=share.files,
            bytes=share.size,
            of_files=share.of_files,
            of_bytes=share.of_size,
            at=state.at.isoformat(),
        )
    yield _attention(ds, state)


def _person(ds, person, at):
    from ..consent.grants import COMPONENTS

    found = person.resolution
    permits = {c: " ".join(found.grant.words(c)) for c in COMPONENTS if found.grant.words(c)}
    if found.grant.is_bottom:
        permits = {}
    form = found.record.form if found.record else None
    return record(
        ds,
        ACTION,
        "ok",
        f"{person.participant}: {'; '.join(_clauses(person, form, permits, at))}",
        type="participant",
        participant=person.participant,
        state=found.state,
        form=form,
        permits=permits,
        reason=found.reason,
        records=person.records,
        permitted_files=person.permitted,
        expired_files=person.expired,
        files=person.files,
        bytes=person.size,
        data=bool(person.files),
        ends=person.ends.isoformat() if person.ends else None,
        ends_soon=person.ends_soon(at),
        at=at.isoformat(),
    )


def _clauses(person, form, permits, at):
    """What is said about a participant, in short."""
    from ..sharing.policies import format_size

    found = person.resolution
    what = f"{found.state}{f' ({form})' if form else ''}"
    if found.state == "none":
        what = "on record, but not in force" if person.records else "no record"
    if 0 < person.permitted < person.files:
        scope = found.record.scope if found.record else ""
        only = f"{scope} only: " if str(scope) else ""
        what += f", {only}{person.permitted} of {count(person.files, 'file')}"
    yield what
    yield "permits " + (", ".join(f"{k} {v}" for k, v in permits.items()) or "nothing")
    if person.expired and found.state != "expired":
        yield f"expired for {count(person.expired, 'file')}"
    if person.ends_soon(at):
        yield f"ends in {count((person.ends - at).days, 'day')}, on {person.ends}"
    size = format_size(person.size)
    yield f"{count(person.files, 'file')}, {size}" if person.files else "no data"


_WHY = {
    "no_record": "data but no record",
    "no_data": "a record but no data",
    "expired": "consent has ended",
    "ends_soon": "ends within {} days",
}
_NAMED = 10


def _attention(ds, state):
    """Who needs attention, with everybody's names for programs and a few for people."""
    from ..sharing.states import SOON

    found = {why: list(who) for why, who in state.attention().items()}
    said = [
        f"{_WHY[why].format(SOON)}: {len(who)} ({', '.join(who[:_NAMED])}"
        f"{', ...' if len(who) > _NAMED else ''})"
        for why, who in found.items()
        if who
    ]
    message = f"attention: {'; '.join(said)}" if said else "nobody needs attention"
    fields = {"participants": len(state.participants), "at": state.at.isoformat()}
    return record(ds, ACTION, "ok", message, type="attention", **found, **fields)


def render(res):
    """State lines without a status word, a receipt as it is, everything else with one."""
    if res["status"] == "ok" and res.get("type") == "receipt":
        say_text(res["receipt"].rstrip("\n"))
    elif res["status"] == "ok" and res.get("type") in ("participant", "sibling", "attention"):
        say(f"  {res['message']}")
    else:
        say_record(res)
