"""``datalad mrishare-publish``: send to a sibling what is permitted and fits."""

from __future__ import annotations

import logging

from datalad.distribution.dataset import datasetmethod
from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.common_opts import recursion_flag, recursion_limit
from datalad.support.param import Parameter

from .publishhistory import past_records
from .publishtree import datasets_below, serve
from .shared import (
    dataset_param,
    dry_run_param,
    error_record,
    open_checkout,
    parse_day,
    say,
    say_record,
)

lgr = logging.getLogger("datalad.mrishare.publish")
ACTION = "mrishare-publish"


@build_doc
class Publish(Interface):
    """Publish a dataset to a sibling, as far as its participants consented.

    Decides for every file whether it may go to the sibling, plans which units
    (participants, sessions) fit into the room there, sends exactly those, takes back what
    is no longer permitted, checks that everything arrived, and pushes a release: the
    dataset without what is withheld. A sibling that is the institution's own storage
    receives the full dataset instead.

    What is withheld is not named in the release. What is deferred (permitted, but there is
    no room yet) is named, and its content follows once there is room. Run again after an
    interruption: it goes on where it stopped.
    """

    result_renderer = "tailored"

    _examples_ = [
        {
            "text": "See what would go to 'mirror', and what not and why",
            "code_cmd": "datalad mrishare-publish --to mirror --dry-run",
            "code_py": "mrishare_publish(to='mirror', dry_run=True)",
        },
        {
            "text": "Publish within 40 GB",
            "code_cmd": "datalad mrishare-publish --to mirror --budget 40GB",
            "code_py": "mrishare_publish(to='mirror', budget='40GB')",
        },
        {
            "text": "Send only anatomical images now, the rest later",
            "code_cmd": "datalad mrishare-publish --to mirror --select datatype=anat",
            "code_py": "mrishare_publish(to='mirror', select=['datatype=anat'])",
        },
        {
            "text": "Every night, bring all siblings up to date",
            "code_cmd": "datalad mrishare-publish --all",
            "code_py": "mrishare_publish(all_=True)",
        },
        {
            "text": "Publish a tree of datasets, subdatasets first, within 2 TB in all",
            "code_cmd": "datalad mrishare-publish --to mirror -r --budget 2TB",
            "code_py": "mrishare_publish(to='mirror', recursive=True, budget='2TB')",
        },
        {
            "text": "Write down what would be sent, to have it looked at",
            "code_cmd": "datalad mrishare-publish --to mirror --plan-to plan.json",
            "code_py": "mrishare_publish(to='mirror', plan_to='plan.json')",
        },
        {
            "text": "Carry out exactly that",
            "code_cmd": "datalad mrishare-publish --to mirror --plan plan.json",
            "code_py": "mrishare_publish(to='mirror', plan='plan.json')",
        },
        {
            "text": "When was what sent there?",
            "code_cmd": "datalad mrishare-publish --history --to mirror",
            "code_py": "mrishare_publish(to='mirror', history=True)",
        },
        {
            "text": "Let 'mirror' forget what it was told before, after somebody is to be erased",
            "code_cmd": "datalad mrishare-publish --to mirror --new-root",
            "code_py": "mrishare_publish(to='mirror', new_root=True)",
        },
        {
            "text": "Where there is no room for all, keep the distribution of age and sex",
            "code_cmd": "datalad mrishare-publish --to mirror --budget 40GB --balance age,sex",
            "code_py": "mrishare_publish(to='mirror', budget='40GB', balance=['age', 'sex'])",
        },
    ]

    _params_ = {
        "dataset": dataset_param,
        "to": Parameter(
            args=("--to",),
            metavar="SIBLING",
            action="append",
            doc="""the sibling, as declared with `datalad mrishare-sibling`; may be given several
            times. Each is served by itself: when one fails, the next ones are served all the
            same.""",
        ),
        "all_": Parameter(
            args=("--all",),
            dest="all_",
            action="store_true",
            doc="""every sibling that is declared, in the order of siblings.yaml.""",
        ),
        "at": Parameter(
            args=("--at",),
            metavar="DATE",
            doc="""with --dry-run: what would have gone on that day, with what was on record
            then.""",
        ),
        "budget": Parameter(
            args=("--budget",),
            metavar="SIZE",
            doc="""what the sibling may hold of this dataset in all (with --recursive: of the whole
            tree), as 40GB or 500MiB. The room is the smallest of this, the policy's budget, and
            what is free there.""",
        ),
        "select": Parameter(
            args=("--select",),
            metavar="ENTITY=VALUE",
            action="append",
            doc="""send only files with this BIDS entity now (also datatype, suffix, sub, ses);
            several values with commas, several entities with several --select. What is not
            selected is deferred.""",
        ),
        "first": Parameter(
            args=("--first",),
            metavar="ENTITY=VALUE",
            action="append",
            doc="""units that have such files come first, and in each unit these files are sent
            first; written as for --select. Units are sent whole or not at all as ever.""",
        ),
        "unit": Parameter(
            args=("--unit",),
            metavar="UNIT",
            doc="""what is sent together or not at all: participant, session or file. Takes
            the place of the policy's unit in this run.""",
        ),
        "balance": Parameter(
            args=("--balance",),
            metavar="COLUMN,...",
            doc="""where there is no room for all, choose the participants that keep the
            distribution of these columns of participants.tsv closest to that of everybody who
            permits it. Numbers are cut at their quartiles; what is missing counts as a level.""",
        ),
        "plan_to": Parameter(
            args=("--plan-to",),
            metavar="FILE",
            doc="""write the plan to FILE and stop, as with --dry-run. It holds pseudonyms: keep
            it where the dataset is kept.""",
        ),
        "plan": Parameter(
            args=("--plan",),
            metavar="FILE",
            doc="""carry out exactly the plan in FILE. Everything is decided anew, and all of it
            refused when the dataset, the records or the policies have changed since, or when it
            would send what may not go today.""",
        ),
        "checksum": Parameter(
            args=("--checksum",),
            action="store_true",
            doc="""also compare all content there with its checksums, and send anew what is
            damaged. Reads all of it; storage that cannot do that itself is downloaded.""",
        ),
        "new_root": Parameter(
            args=("--new-root",),
            dest="new_root",
            action="store_true",
            doc="""begin the history of the sibling afresh: one release without a parent, and no
            names or keys of earlier ones, there or in what git-annex says there. Clones that were
            made before cannot go on with `git pull` and must be made anew.""",
        ),
        "history": Parameter(
            args=("--history",),
            metavar="EVENT",
            nargs="?",
            const=True,
            doc="""publish nothing, but list what was published, with --to only there. With an
            EVENT (the file that the list names) decide about its units again, as of that day,
            commit and records.""",
        ),
        "jobs": Parameter(
            args=("-J", "--jobs"),
            metavar="N",
            doc="""number of parallel transfers; default 1.""",
        ),
        "dry_run": dry_run_param,
        "recursive": recursion_flag,
        "recursion_limit": recursion_limit,
    }

    @staticmethod
    @datasetmethod(name="mrishare_publish")
    @eval_results
    def __call__(
        to=None,
        *,
        dataset=None,
        all_=False,
        at=None,
        budget=None,
        select=None,
        first=None,
        unit=None,
        balance=None,
        plan_to=None,
        plan=None,
        checksum=False,
        new_root=False,
        history=None,
        jobs=None,
        dry_run=False,
        recursive=False,
        recursion_limit=None,
    ):
        from datalad.support.exceptions import InsufficientArgumentsError
        from datalad.utils import ensure_list

        from ..errors import MriShareError
        from ..sharing.planning import Options
        from ..sharing.policies import parse_size

        names = ensure_list(to)
        if history:
            ds, checkout = open_checkout(dataset, "tell what was published")
            try:
                for name in names or [None]:
                    yield from past_records(ds, checkout, ACTION, name, history)
            except MriShareError as exc:
                yield error_record(ds, ACTION, exc)
            return
        if not names and not all_:
            raise InsufficientArgumentsError("say where to: --to SIBLING, or --all")
        if names and all_:
            raise InsufficientArgumentsError("--all goes without --to")
        if (plan or plan_to) and (all_ or len(names) > 1 or recursive):
            raise InsufficientArgumentsError("a plan is for one sibling: give one --to, and no -r")
        if at and not (dry_run or plan_to):
            raise InsufficientArgumentsError("--at only shows: add --dry-run")
        if at and plan_to:
            raise InsufficientArgumentsError("a plan is for today: leave out --at")
        try:
            options = Options(
                budget=None if budget is None else parse_size(str(budget), "--budget"),
                select=_entities(select, "--select"),
                first=_entities(first, "--first"),
                unit=_unit_word(unit),
                balance=_columns(balance),
                checksum=bool(checksum),
                new_root=bool(new_root),
                dry_run=bool(dry_run or plan_to),
                **_day(at),
                **_plan_files(plan_to, plan, dataset, (budget, select, first, unit, balance)),
                jobs=_jobs(jobs),
            )
        except MriShareError as exc:
            raise InsufficientArgumentsError(str(exc)) from None
        ds, _ = open_checkout(dataset, "publish")
        datasets = datasets_below(ds, recursion_limit) if recursive else [ds]
        yield from serve(ds, datasets, ACTION, names, options, _progress)

    @staticmethod
    def custom_result_renderer(res, **_kwargs):
        render(res)


def _entities(words, option):
    from ..sharing.policies import parse_select

    return parse_select([words] if isinstance(words, str) else words, option)


def _day(at):
    """The day of the decision; of a day in the past only what was known then counts."""
    day = parse_day(at)
    return {"at": day, "known": day} if day else {}


def _unit_word(unit):
    from ..consent.values import unknown
    from ..sharing.policies import UNITS

    if unit is not None and unit not in UNITS:
        raise unknown("unit", str(unit), UNITS, "--unit")
    return unit


def _columns(words):
    from datalad.utils import ensure_list

    from ..errors import InputError

    names = [n.strip() for word in ensure_list(words) for n in str(word).split(",")]
    if not all(names):
        raise InputError("names no column", where="--balance", remedy="Write --balance age,sex")
    return tuple(dict.fromkeys(names))


def _plan_files(plan_to, plan, dataset, others):
    """Paths of plan files; a plan says itself what was asked for."""
    from datalad.distribution.dataset import resolve_path

    from ..errors import InputError

    if plan and (plan_to or any(others)):
        raise InputError(
            "carries out a plan as it is",
            where="--plan",
            remedy="Leave out --budget, --select, --first, --unit, --balance and --plan-to",
        )
    paths = {"plan_to": plan_to, "plan_from": plan}
    return {name: resolve_path(path, dataset) for name, path in paths.items() if path}


def _jobs(jobs):
    from ..errors import InputError

    if jobs is None:
        return 1
    if not str(jobs).isdecimal() or int(jobs) < 1:
        raise InputError(f"`{jobs}` is not a number of jobs", where="--jobs", remedy="Try -J 2")
    return int(jobs)


def _progress(to):
    """Bytes of the whole plan as a progress bar; -1 ends it."""
    from datalad.log import log_progress

    bar = f"mrishare-publish-{to}"

    def show(increment, total):
        if increment < 0:
            log_progress(lgr.info, bar, "Transferred to %s", to)
        elif increment == 0:
            log_progress(
                lgr.info, bar, "Transfer to %s", to, total=total, unit=" Bytes", label="Transfer"
            )
        else:
            log_progress(lgr.debug, bar, "Transfer", update=increment, increment=True)

    return show


def render(res):
    """A line for people: what became of it, then the message."""
    if res["action"] != ACTION:
        from datalad.interface.utils import default_result_renderer

        default_result_renderer(res)
        return
    outcome = res.get("outcome")
    words = {
        "keep": "kept",
        "defer": "deferred",
        "summary": "in sum",
        None: res["status"],
    }
    if outcome == "summary":
        say("")
    say_record(res, words.get(outcome, outcome))
    for line in res.get("lines", ()):
        say(f"            {line}")
