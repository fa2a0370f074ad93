"""Random datasets, policies and histories of records: what is planned is what is permitted.

The real path, from records to a plan, against a naive reading of the rules as docs/consent.md
and docs/consent-engineers.md tell them: per file, per person, per component, with sets of
plain words and no code of the package.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from typing import Any

from datalad_mrishare.consent import Deid, Registry, Resolver, build_record, load_forms
from datalad_mrishare.repo.trees import Entry
from datalad_mrishare.sharing.facts import facts_of
from datalad_mrishare.sharing.plans import Room, make_plan
from datalad_mrishare.sharing.policies import load_policies
from datalad_mrishare.sharing.verdicts import Judge, decide

DAY = date(2026, 5, 3)
REACHES = "own institution consortium registered public".split()
DEIDS = "identifiable pseudonymised deidentified anonymous".split()
#: every DUO permission as the set of what it lets one do
PURPOSES = {
    "DS:MONDO:0005148": {"diabetes"},
    "DS:MONDO:0004975": {"dementia"},
    "HMB": {"diabetes", "dementia", "health"},
    "POA": {"ancestry"},
    "GRU": {"diabetes", "dementia", "health", "ancestry", "method"},
    "NRES": {"diabetes", "dementia", "health", "ancestry", "method", "anything"},
}
EEA = set(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()
)
EEA |= {"IS", "LI", "NO"}
PLACES = {"any": EEA | {"US", "CH", "elsewhere"}, "EEA": EEA, "DE": {"DE"}, "FR": {"FR"}}
PLACES["US"] = {"US"}
DUTIES = "DUA NRI IRB NCU US".split()
#: path, datatype, suffix, session, how clean its name says it is
IMAGES = [
    ("anat/{}_T1w.nii.gz", "anat", "T1w", None, 0),
    ("func/{}_task-rest_bold.nii.gz", "func", "bold", None, 2),
    ("ses-01/dwi/{}_ses-01_dwi.nii.gz", "dwi", "dwi", "1", 2),
    ("ses-02/func/{}_ses-02_task-rest_bold.nii.gz", "func", "bold", "2", 2),
    ("anat/unnamed.nii.gz", "anat", None, None, 0),
]
SCOPES = [*[{}] * 15, {"datatype": ["anat"]}, {"suffix": ["T1w", "bold"]}, {"ses": ["1"]}]


# --- the naive reading ----------------------------------------------------------------


def words(table: dict[str, set[str]], text: str) -> set[str]:
    return set().union(*(table[word] for word in text.split()))


def covers(record: dict[str, Any], file: dict[str, Any]) -> bool:
    """What is not known of a file is not covered by a permission, but by a denial."""
    unsure = record["state"] != "given"
    return all(
        unsure if file[name] is None else file[name] in values
        for name, values in record["_scope"].items()
    )


def permission(person: str, file: dict, case: dict) -> dict[str, Any] | str:
    """What one person permits for one file; a word where it is nothing."""
    records = [
        r
        for r in case["records"]
        if r["participant_id"] == person
        and r["from"] <= case["at"]
        and (case["known"] is None or r["recorded"] <= case["known"])
        and covers(r, file)
    ]
    given = [r for r in records if r["state"] == "given"]
    against = [r for r in records if r["state"] not in ("given", "invalid")]
    void = [
        g
        for g in given
        for i in records
        if i["state"] == "invalid" and i["form"] in (None, g["form"]) and g["from"] <= i["from"]
    ]
    ended = list(void)
    for denial in against:
        lifted = [g["from"] for g in given if denial["record"] in g["lifts"] and g not in void]
        one_form = denial["form"] if denial["state"] == "refused" else None
        if not lifted and one_form is None:
            return "denied"
        since = min(lifted, default=date.max)
        ended += [g for g in given if one_form in (None, g["form"]) and g["from"] < since]
    force = [g for g in given if g not in ended]
    if not force:
        return "ended" if records else "nothing on record"
    newest = max(g["from"] for g in force)
    forms = [(g, case["forms"][g["form"]]) for g in given if g["from"] >= newest]
    ends = [end for g, form in forms for end in (g["until"], form.get("until")) if end]
    found = {
        "reach": min(REACHES.index(form.get("reach", "own")) for _, form in forms),
        "use": set.intersection(*(words(PURPOSES, form.get("use", "")) for _, form in forms)),
        "region": set.intersection(
            *(words(PLACES, form.get("region", "any")) for _, form in forms)
        ),
        "duty": set().union(*(set(form.get("duty", "").split()) for _, form in forms)),
        "until": min(ends, default=None),
        "deid": max(DEIDS.index(form.get("deid", "identifiable")) for _, form in forms),
    }
    if ends and min(ends) <= case["at"]:
        return "expired"
    return found if found["reach"] and found["use"] and found["region"] else "nothing permitted"


def against(file: dict, case: dict) -> set[str]:
    """The components that forbid one file, looked at alone."""
    policy = case["policy"]
    if policy["reach"] == "own":
        gone = ("stop-use", "erase")
        return {"denial" for p in file["people"] if (depth(p, file, case) or "") in gone}
    if file["kind"] != "data":
        return set() if file["kind"] == "commons" else {file["kind"]}
    if not file["people"]:
        return {"nobody"}
    all_of_them = [permission(person, file, case) for person in file["people"]]
    if any(isinstance(one, str) for one in all_of_them):
        return {"denial" if "denied" in all_of_them else "consent"}
    wrong = set()
    for one in all_of_them:
        wrong |= {"reach"} if REACHES.index(policy["reach"]) > one["reach"] else set()
        wrong |= {"duty"} if one["duty"] - set(policy.get("duty", "").split()) else set()
        last = policy.get("until") or date.max
        too_long = policy["recall"] == "no" and one["until"] and last > one["until"]
        wrong |= {"until"} if too_long else set()
    clean = max(DEIDS.index(policy["deid"]), *(one["deid"] for one in all_of_them))
    wrong |= {"deid"} if file["clean"] < clean else set()
    for name, table, silent in (("use", PURPOSES, ""), ("region", PLACES, "any")):
        permitted = set.intersection(*(one[name] for one in all_of_them))
        asked = words(table, policy.get(name, silent))
        wrong |= {name} if asked - permitted or not permitted else set()
    return wrong


def depth(person: str, file: dict, case: dict) -> str | None:
    """How far the denials in force of a person go."""
    one = {**case, "records": [r for r in case["records"] if r["state"] in ("given", "invalid")]}
    found = []
    for r in case["records"]:
        alone = {**one, "records": [*one["records"], r]}
        theirs = r["participant_id"] == person and r["state"] in ("withdrawn", "opted-out")
        if theirs and permission(person, file, alone) == "denied":
            found.append(r["then"] or "stop-use" if r["state"] == "withdrawn" else "mild")
    return max(found, key=["mild", "stop-sharing", "stop-use", "erase"].index, default=None)


def naive(case: dict) -> dict[str, set[str]]:
    """Path to what forbids it; content is forbidden everywhere where it is anywhere."""
    found = {file["path"]: against(file, case) for file in case["files"]}
    if case["policy"]["reach"] != "own":
        for a in case["files"]:
            for b in case["files"]:
                same = a["key"] == b["key"] and a["people"] and b["people"] and a["image"]
                if same and not a["people"] & b["people"]:
                    found[a["path"]] = found[a["path"]] | {"identity"}
    bad = {file["key"] for file in case["files"] if found[file["path"]]}
    return {
        file["path"]: found[file["path"]] or ({"content"} if file["key"] in bad else set())
        for file in case["files"]
    }


# --- random cases ---------------------------------------------------------------------


def a_form(draw: random.Random) -> dict[str, str]:
    form = {"reach": draw.choice(["public"] * 6 + ["registered"] * 4 + REACHES[1:])}
    form["use"] = draw.choice(["NRES", "GRU", "GRU", "GRU", "HMB", "HMB", "POA", "HMB POA"])
    if draw.random() < 0.06:
        form["use"] = draw.choice(["DS:MONDO:0005148", "DS:MONDO:0004975 POA"])
    if draw.random() < 0.3:
        form["region"] = draw.choice(["EEA", "EEA US", "DE FR", "US"])
    if draw.random() < 0.3:
        form["duty"] = " ".join(draw.sample(DUTIES, draw.randint(1, 2)))
    if draw.random() < 0.2:
        form["until"] = DAY + timedelta(draw.choice((-40, 30, 30, 400, 400)))
    if draw.random() < 0.2:
        form["deid"] = draw.choice(DEIDS)
    if draw.random() < 0.02:
        form.pop(draw.choice(["reach", "use"]))
    return form


def a_policy(draw: random.Random) -> dict[str, Any]:
    policy = {
        "reach": draw.choice(["public", "public", *REACHES[1:], *REACHES[1:4]]),
        "use": draw.choice(["GRU", *["HMB"] * 7, "DS:MONDO:0005148", "POA", "NRES"]),
        "deid": draw.choice(["identifiable", "identifiable", "deidentified", "pseudonymised"]),
        "recall": draw.choice(["yes", "no"]),
    }
    if draw.random() < 0.05:
        policy["reach"] = "own"
    if draw.random() < 0.6:
        policy["region"] = draw.choice(["DE", "DE", "DE FR", "EEA", "US"])
    if draw.random() < 0.8:
        policy["duty"] = " ".join(draw.sample(DUTIES, draw.choice((2, 4, 5, 5))))
    if draw.random() < 0.4:
        policy["until"] = DAY + timedelta(draw.choice((10, 30, 31, 500)))
    return policy


def some_records(draw: random.Random, people: list[str], forms: list[str]) -> list[dict]:
    found: list[dict[str, Any]] = []
    for person in people:
        for _ in range(draw.choice((0, *[1] * 14, 2, 2, 2, 3, 4))):
            state = "given"
            if any(r["participant_id"] == person for r in found) and draw.random() < 0.4:
                state = draw.choice(["refused", "withdrawn", "opted-out", "invalid", "given"])
            start = DAY + timedelta(
                draw.choice((-800, -400, -400, -300, -200, -200, -150, -100, -100, -1, 0, 1))
            )
            given = state == "given"
            until = start + timedelta(draw.choice((50, 500, 1000, 1300)))
            earlier = [
                r["record"]
                for r in found
                if r["participant_id"] == person
                and r["state"] not in ("given", "invalid")
                and r["from"] <= start
            ]
            found.append(
                {
                    "record": f"r{len(found)}",
                    "participant_id": person,
                    "state": state,
                    "form": draw.choice(forms if given else [None, *forms]),
                    "from": start,
                    "until": until if given and draw.random() < 0.25 else None,
                    "recorded": start + timedelta(draw.choice((0, 0, 0, 0, 0, 30))),
                    "then": draw.choice([None, "stop-sharing", "stop-use", "erase"])
                    if state == "withdrawn"
                    else None,
                    "lifts": earlier if given and earlier and draw.random() < 0.7 else [],
                    "_scope": draw.choice(SCOPES),
                }
            )
    draw.shuffle(found)
    return found


def some_files(draw: random.Random, people: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def add(path: str, who: set[str], kind: str = "data", scope=(None, None, None), clean=0):
        datatype, suffix, ses = scope
        key = f"SHA256E-s{draw.choice((100, 9000))}--{len(found)}.{path.split('.', 1)[-1]}"
        about = {"datatype": datatype, "suffix": suffix, "ses": ses, "clean": clean}
        named = {"path": path, "people": who, "kind": kind, "key": key}
        big = "-s100-" not in key and path.endswith(".nii.gz")
        found.append({**named, **about, "image": big})

    for person in people:
        for path, datatype, suffix, ses, clean in draw.sample(IMAGES, draw.randint(1, 2)):
            name = f"{person}/{path.format(person)}"
            add(name, {person}, scope=(datatype, suffix, ses), clean=clean)
    if draw.random() < 0.3:
        pair = f"derivatives/pair/{people[0]}_{people[-1]}_map.nii.gz"
        add(pair, {people[0], people[-1]}, scope=(None, None, None))  # not a suffix of BIDS
    if draw.random() < 0.2:
        add("derivatives/group/mean.nii.gz", set())
    if draw.random() < 0.1:
        add("derivatives/group/atlas.txt", set(), "commons")
    if draw.random() < 0.1:
        add(f"sourcedata/{people[0]}/scan.dcm", {people[0]}, "excluded")
    if draw.random() < 0.1:  # identical content at two paths
        one, other = draw.choice(found), draw.choice(found)
        one["key"], one["image"] = other["key"], one["image"]
        big = "-s100-" not in one["key"]
        for file in (one, other):
            file["image"] = big and file["path"].endswith((".nii.gz", ".dcm"))
    return found


def a_case(draw: random.Random, forms: dict[str, dict], policies: dict[str, dict]) -> dict:
    people = [f"sub-{n:02}" for n in range(1, draw.randint(2, 4))]
    name = draw.choice(sorted(policies))
    chosen = draw.sample(sorted(forms), 3)
    return {
        "name": name,
        "policy": policies[name],
        "forms": forms,
        "records": some_records(draw, people, chosen),
        "files": some_files(draw, people),
        "at": DAY,
        "known": draw.choice((*[None] * 6, DAY - timedelta(10), DAY)),
        "measured": draw.random() < 0.6,
    }


# --- the real path --------------------------------------------------------------------


def text_of(table: dict[str, dict]) -> str:
    lines = []
    for name, values in table.items():
        lines.append(f"{name}:")
        lines += [f"  {key}: {value}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def a_record(cells: dict[str, Any], forms: Any) -> Any:
    scope = " ".join(f"{name}={','.join(values)}" for name, values in cells["_scope"].items())
    written = {k: str(v) for k, v in cells.items() if v and not k.startswith("_")}
    written |= {"lifts": ",".join(cells["lifts"]), "scope": scope}
    return build_record(written, forms=forms)


def decided(case: dict, forms: Any, policy: Any, draw: random.Random) -> tuple[Any, list[Any]]:
    registry = Registry(forms, tuple(a_record(r, forms) for r in case["records"]))
    entries = [
        Entry(f["path"], "120000", f"{n:040x}", 100, f["key"]) for n, f in enumerate(case["files"])
    ]
    facts = facts_of(entries, lambda _: {}, {}, commons=["derivatives/group/*.txt"])
    for fact, file in zip(facts, case["files"], strict=True):
        assert (fact.participants, fact.clearance) == (file["people"], file["clean"]), file
    if case["measured"]:  # as if there were evidence
        for file in case["files"]:
            file["clean"] = draw.choice((1, 2, 3, 3))
        facts = [
            fact._replace(clearance=Deid(file["clean"]))
            for fact, file in zip(facts, case["files"], strict=True)
        ]
    judge = Judge(policy, Resolver(registry, case["at"], case["known"]), case["at"])
    verdicts = decide(facts, judge)
    keys = [f["key"] for f in case["files"]]
    present = set(draw.sample(keys, draw.randint(0, len(keys) // 2)))
    plan = make_plan(verdicts, present=present, here=set(keys), room=Room(), unit=policy.unit)
    return plan, [present, verdicts]


def check(count: int, seed: int) -> Counter[str]:
    draw = random.Random(seed)
    forms = {f"form-{n}": a_form(draw) for n in range(60)}
    policies = {f"sibling-{n}": a_policy(draw) for n in range(200)}
    real_forms = load_forms(text_of(forms))
    lines = "".join(f"  {line}\n" for line in text_of(policies).splitlines())
    real_policies = load_policies(f"siblings:\n{lines}")
    seen: Counter[str] = Counter()
    for _ in range(count):
        case = a_case(draw, forms, policies)
        plan, (present, verdicts) = decided(case, real_forms, real_policies[case["name"]], draw)
        expected = naive(case)
        permitted = {f["key"] for f in case["files"] if not expected[f["path"]]}
        planned = set(plan.keys_to_send())
        withheld = {v.facts.path for v in plan.withheld}
        assert planned == permitted - present, case
        assert withheld == {path for path, why in expected.items() if why}, case
        assert plan.keys == permitted and set(plan.take_back) == present - permitted, case
        for verdict in verdicts:
            why = expected[verdict.facts.path]
            seen["files"] += 1
            seen["denied" if why else "permitted"] += 1
            seen["several people"] += len(verdict.facts.participants) > 1 and not why
            if len(why) == 1:
                seen["only " + next(iter(why))] += 1
    seen["datasets"] = count
    return seen


SOLE = "reach use region duty until deid denial consent nobody".split()


def assert_telling(seen: Counter[str], least: int) -> None:
    print(dict(sorted(seen.items())))
    assert seen["permitted"] > 0.2 * seen["files"] and seen["denied"] > 0.2 * seen["files"], seen
    assert all(seen[f"only {cause}"] >= least for cause in SOLE), seen
    assert seen["several people"] > least / 4, seen


def test_what_is_planned_is_what_is_permitted() -> None:
    assert_telling(check(10_000, seed=20260503), 200)
