"""The laws of the algebra and of resolution, on generated cases.

Each test counts the cases that say something (what is permitted and then closed, grants
that differ) and asserts the counts: a generator that never permits proves nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalad_mrishare.consent import (
    ANYWHERE,
    BOTTOM,
    COMPONENTS,
    DUTIES,
    TOP,
    Basis,
    By,
    Deid,
    FileScope,
    Form,
    Grant,
    Reach,
    Record,
    Registry,
    Resolver,
    Scope,
    State,
    Then,
    Use,
    failing,
    format_records,
    grant_fields,
    grant_from_fields,
    meet,
    parse_region,
    parse_registry,
)

many = settings(
    max_examples=1000,
    database=None,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

#: histories are slower to draw
some = settings(many, max_examples=600)

DAY = date(2026, 5, 3)
USES = ["NRES", "GRU", "HMB", "POA", "DS:MONDO:0005148", "DS:MONDO:0004975"]
REGIONS = ["any", "any", "EEA", "EEA adequate", "DE", "DE FR", "US", ""]

uses = st.lists(st.sampled_from(USES), max_size=3).map(Use)
regions = st.sampled_from(REGIONS).map(parse_region)
duties = st.frozensets(st.sampled_from(sorted(DUTIES)), max_size=3)
dates = st.none() | st.integers(-3, 400).map(lambda days: DAY + timedelta(days))
deids = st.none() | st.sampled_from(Deid)
grants = st.one_of(
    st.builds(Grant, st.sampled_from(Reach), uses, regions, duties, dates, deids),
    st.builds(
        Grant,
        st.sampled_from([Reach.REGISTERED, Reach.PUBLIC]),
        st.sampled_from(["NRES", "GRU", "HMB"]).map(lambda word: Use([word])),
        st.sampled_from([ANYWHERE, parse_region("EEA adequate")]),
        st.frozensets(st.sampled_from(["DUA", "NRI"]), max_size=1),
        st.none(),
        st.none(),
    ),
)


@many
@given(grants, grants, grants)
def test_meet_is_a_greatest_lower_bound(a: Grant, b: Grant, c: Grant) -> None:
    assert meet(a, b) == meet(b, a)
    assert meet(meet(a, b), c) == meet(a, meet(b, c))
    assert meet(a, a) == a
    assert meet(a, b) <= a and meet(a, b) <= b
    assert meet(a, TOP) == a and meet(a, BOTTOM) == BOTTOM
    assert BOTTOM <= a <= TOP
    assert (a <= b) == (meet(a, b) == a)
    assert not (a <= b and b <= a) or a == b


def test_a_sibling_is_below_a_meet_as_it_is_below_both() -> None:
    seen: Counter[str] = Counter()

    @many
    @given(grants, grants, grants, st.booleans())
    def check(s: Grant, a: Grant, b: Grant, lower: bool) -> None:
        if lower:
            s = meet(s, a)
        expected = s <= a and s <= b
        assert (s <= meet(a, b)) == expected
        seen["below" if expected else "not below"] += 1
        seen["different"] += a != b and expected

    check()
    assert seen["below"] > 80 and seen["not below"] > 200 and seen["different"] > 60, seen


def test_failing_says_what_the_order_says() -> None:
    """Nothing fails iff S <= grant in all but time, time is in order, and the file is clean."""
    seen: Counter[str] = Counter()

    @many
    @given(grants, grants, st.booleans(), st.booleans(), st.sampled_from(Deid))
    def check(s: Grant, g: Grant, lower: bool, recall: bool, clearance: Deid) -> None:
        if lower:
            s = meet(s, g)
        if s.is_bottom:
            return
        permitted = (
            not g.is_bottom
            and replace(s, until=None, deid=None) <= replace(g, until=None, deid=None)
            and (g.until is None or g.until > DAY)
            and (recall or g.until is None or (s.until is not None and s.until <= g.until))
            and (s.deid is None or clearance >= s.deid)
            and (g.deid is None or clearance >= g.deid)
        )
        failures = failing(s, g, at=DAY, recall=recall, clearance=clearance)
        assert (not failures) == permitted
        seen["permitted" if permitted else "denied"] += 1
        for failure in failures:
            assert failure.sentence
        if len(failures) == 1:
            seen[failures[0].component] += 1

    check()
    assert seen["permitted"] > 60 and seen["denied"] > 150, seen
    assert all(seen[component] >= 3 for component in COMPONENTS), seen


def test_another_person_or_duty_never_opens() -> None:
    seen: Counter[str] = Counter()

    @many
    @given(grants, grants, grants, duties, st.sampled_from(Deid), st.booleans())
    def check(s: Grant, a: Grant, b: Grant, more: frozenset, clearance: Deid, lower: bool) -> None:
        if lower:
            s = meet(s, a)

        def permits(grant: Grant) -> bool:
            return not failing(s, grant, at=DAY, recall=False, clearance=clearance)

        before = permits(a)
        for narrower in (meet(a, b), replace(a, duty=a.duty | more)):
            assert before or not permits(narrower)
            seen["closed"] += before and not permits(narrower)
            seen["stayed"] += permits(narrower)

    check()
    assert seen["closed"] > 25 and seen["stayed"] > 25, seen


def test_projection_goes_both_ways() -> None:
    seen: Counter[str] = Counter()

    @many
    @given(grants | st.just(BOTTOM) | st.just(TOP))
    def check(grant: Grant) -> None:
        fields = grant_fields(grant, ["sub-01"], ["mirror"])
        assert all(fields.values())
        assert grant_from_fields(fields) == grant
        seen["bottom" if grant.is_bottom else "sharing"] += 1

    check()
    assert min(seen["bottom"], seen["sharing"]) > 100, seen
    assert grant_from_fields({}) == BOTTOM


# --- resolution -----------------------------------------------------------------------

FORMS = {
    "wide": Form("wide", replace(TOP)),
    "narrow": Form("narrow", replace(TOP, reach=Reach.REGISTERED, duty=frozenset(["DUA"]))),
    "ends": Form("ends", replace(TOP, until=DAY + timedelta(30))),
    "term": Form("term", replace(TOP, use=Use(["HMB"])), term_years=1),
    "empty": Form("empty", BOTTOM),
}
SCOPES = ["", "", "", "datatype=anat", "suffix=T1w,T2w", "ses=1", "path=sub-01/anat/*"]
FILES = [
    FileScope(None, "anat", "T1w", "sub-01/anat/sub-01_T1w.nii.gz"),
    FileScope("01", "func", "bold", "sub-01/ses-01/func/sub-01_ses-01_bold.nii.gz"),
    FileScope(None, None, None, "sub-01/sub-01_scans.tsv"),
]
_starts = st.integers(-900, 20).map(lambda days: DAY + timedelta(days // 60 * 60))


@st.composite
def one_record(draw: st.DrawFn, token: str = "r0", denial: bool = False) -> Record:
    states = [State.REFUSED, State.WITHDRAWN, State.OPTED_OUT, State.INVALID]
    state = (
        State.GIVEN if not denial and draw(st.integers(0, 9)) < 7 else draw(st.sampled_from(states))
    )
    start = draw(_starts)
    gave = state is State.GIVEN
    forms = st.sampled_from(sorted(FORMS))
    return Record(
        token,
        "sub-01",
        state,
        draw(forms if gave else st.none() | forms),
        start,
        start + timedelta(draw(st.integers(1, 2000))) if gave and draw(st.booleans()) else None,
        By.SELF,
        Basis.CONSENT,
        DAY - timedelta(draw(st.integers(0, 5))),
        Scope.parse(draw(st.sampled_from(SCOPES))),
        draw(st.none() | st.sampled_from(Then)) if state is State.WITHDRAWN else None,
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[Record, ...]:
    """Records of one participant; given ones may lift denials that start before them."""
    records = [draw(one_record(f"r{i}")) for i in range(draw(st.integers(0, 6)))]
    found = []
    for record in records:
        denials = [
            other.record
            for other in records
            if other.state not in (State.GIVEN, State.INVALID) and other.from_ <= record.from_
        ]
        if record.state is State.GIVEN and denials and draw(st.integers(0, 3)):
            record = replace(record, lifts=tuple(sorted(draw(st.sets(st.sampled_from(denials))))))
        found.append(record)
    return tuple(found)


def permitted(records: tuple[Record, ...], file: FileScope) -> Grant:
    return Resolver(Registry(FORMS, records), DAY).resolve("sub-01", file).grant


def naive(records: tuple[Record, ...], file: FileScope) -> Grant:
    """The rules of ``resolution.py`` word by word, slow and without shared code paths."""
    now = [r for r in records if r.from_ <= DAY]
    gave = [r for r in now if r.state is State.GIVEN and r.scope.covers(file)]
    other = [r for r in now if r.state is not State.GIVEN and r.scope.may_cover(file)]
    void = {
        g.record
        for g in gave
        for o in other
        if o.state is State.INVALID and o.form in (None, g.form) and g.from_ <= o.from_
    }
    force = []
    for g in gave:
        ended = g.record in void
        for o in other:
            if o.state is State.INVALID:
                continue
            days = [x.from_ for x in gave if o.record in x.lifts and x.record not in void]
            everything = o.form is None or o.state is not State.REFUSED
            if not days and everything:
                return BOTTOM
            if everything or o.form == g.form:
                ended |= not days or g.from_ < min(days)
        if not ended:
            force.append(g)
    if not force:
        return BOTTOM
    result = TOP
    for g in gave:
        if g.from_ >= max(x.from_ for x in force):
            ends = [d for d in (g.until, FORMS[g.form].grant.until) if d]
            if g.form == "term":
                ends.append(date(g.from_.year + 1, g.from_.month, min(g.from_.day, 28)))
            end = min(ends) if ends else None
            result = meet(result, replace(FORMS[g.form].grant, until=end))
    return BOTTOM if result.until and result.until <= DAY else result


def test_resolution_is_what_the_naive_reading_gives() -> None:
    seen: Counter[str] = Counter()

    @some
    @given(histories(), st.sampled_from(FILES))
    def check(records: tuple[Record, ...], file: FileScope) -> None:
        records = tuple(
            replace(r, from_=r.from_.replace(day=min(r.from_.day, 28))) for r in records
        )
        records = tuple(
            replace(r, until=None) if r.until and r.until <= r.from_ else r for r in records
        )
        grant = permitted(records, file)
        assert grant == naive(records, file)
        seen["sharing" if not grant.is_bottom else "nothing"] += 1
        seen["lifted"] += not grant.is_bottom and any(r.lifts for r in records)

    check()
    assert seen["sharing"] > 80 and seen["nothing"] > 80 and seen["lifted"] > 10, seen


def test_a_denial_never_opens() -> None:
    seen: Counter[str] = Counter()

    @some
    @given(histories(), one_record("new", denial=True), st.sampled_from(FILES))
    def check(records: tuple[Record, ...], denial: Record, file: FileScope) -> None:
        before, after = permitted(records, file), permitted((*records, denial), file)
        assert after <= before
        seen["closed"] += not before.is_bottom and after.is_bottom
        seen["stayed"] += not after.is_bottom

    check()
    assert seen["closed"] > 40 and seen["stayed"] > 20, seen


def test_the_order_of_records_never_matters() -> None:
    seen: Counter[str] = Counter()

    @some
    @given(histories(), st.randoms(use_true_random=False), st.sampled_from(FILES))
    def check(records: tuple[Record, ...], random, file: FileScope) -> None:
        other = list(records)
        random.shuffle(other)
        first = Resolver(Registry(FORMS, records), DAY).resolve("sub-01", file)
        assert Resolver(Registry(FORMS, tuple(other)), DAY).resolve("sub-01", file) == first
        seen["moved"] += tuple(other) != records and not first.grant.is_bottom

    check()
    assert seen["moved"] > 40, seen


def test_the_table_keeps_every_record() -> None:
    seen: Counter[str] = Counter()

    @some
    @given(histories())
    def check(records: tuple[Record, ...]) -> None:
        assert parse_registry(format_records(records), forms=FORMS) == records
        seen["rows"] += len(records)

    check()
    assert seen["rows"] > 500, seen


def test_nothing_changes_before_the_day_that_says_so() -> None:
    seen: Counter[str] = Counter()

    @some
    @given(histories(), st.integers(0, 3000), st.sampled_from(FILES))
    def check(records: tuple[Record, ...], later: int, file: FileScope) -> None:
        registry = Registry(FORMS, records)
        change = registry.next_change(DAY)
        day = DAY + timedelta(later)
        now = Resolver(registry, DAY).resolve("sub-01", file).grant
        then = Resolver(registry, day).resolve("sub-01", file).grant
        if change is None or day < change:
            assert now == then
            seen["same"] += not now.is_bottom
        else:
            seen["changed"] += now != then

    check()
    assert seen["same"] > 40 and seen["changed"] > 40, seen
