"""``datalad mrishare-consent --receipt``: one participant, nobody else, and the truth."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
from builders import make_bids, run
from leaks import scanner
from mirrors import FORM, add_path, consent, keys_at, publish

from datalad_mrishare.repo.events import read_events
from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.consents import import_consent
from datalad_mrishare.sharing.publishing import Publication
from datalad_mrishare.sources.register import register

GROUP = "derivatives/mean/group_sub-01_sub-02_desc-canary_bold.nii.gz"
HEAD = "participant_id\tstate\tform\tfrom\tevidence\trecorded\trecord\n"


def call(dataset: Path, who: str | None = "sub-01", **options: object) -> dict:
    """The one result record of a receipt."""
    from datalad.api import mrishare_consent

    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    (found,) = mrishare_consent(receipt=who, dataset=str(dataset), **quiet, **options)
    return found


def receipt(dataset: Path, who: str = "sub-01", **options: object) -> str:
    found = call(dataset, who, **options)
    assert (found["status"], found["type"], found["participant"]) == ("ok", "receipt", who)
    return found["receipt"]


def commit(dataset: Path, path: str, text: str | bytes) -> None:
    """A file in the dataset, images in the annex."""
    file = dataset / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    annex = ("annex", "add", "--force-large") if path.endswith(".gz") else ("add",)
    run(dataset, "git", *annex, path)
    run(dataset, "git", "commit", "--quiet", "-m", "change", "--", path)


def lines(text: str, title: str) -> list[str]:
    """The list entries below a heading."""
    below = text.split(f"## {title}")[1].split("\n## ")[0]
    return [line.strip() for line in below.splitlines() if line.lstrip().startswith("- ")]


def interrupt(self: Publication) -> None:
    raise KeyboardInterrupt


def last_event(dataset: Path) -> dict:
    return read_events(dataset)[-1]


@pytest.fixture
def dataset(registered: Path) -> Path:
    """01 and 02 permit, 03 refused, 04 said nothing; a result of 01 and 02 together."""
    commit(registered, GROUP, b"group" * 1234)
    rows = "".join(
        f"{who}\t{state}\t{FORM if state == 'given' else 'n/a'}\t2026-01-01\tbinder{who[4:]}canary"
        f"\t2026-01-01\ttoken{who[4:]}canary\n"
        for who, state in (("sub-01", "given"), ("sub-02", "given"), ("sub-03", "refused"))
    )
    import_consent(Checkout(registered), (HEAD + rows).encode(), "r.tsv", today=date(2026, 5, 4))
    return registered


# -- refused


@pytest.mark.parametrize("who", ["sub-99", "99", "", "sub-1", "../x", "sub-01 sub-02", "SUB-01"])
def test_an_unknown_participant_is_refused(dataset: Path, who: str) -> None:
    found = call(dataset, who)
    assert found["status"] == "error" and "receipt" not in found
    assert "is not a participant" in found["message"]
    assert found["remedy"] == "See all participants: datalad mrishare-consent"


def test_wrong_use_ends_with_2_and_an_unknown_participant_with_1(dataset: Path) -> None:
    (dataset.parent / "x.tsv").write_text(HEAD)
    argv = ("datalad", "mrishare-consent", "--receipt", "sub-01", "../x.tsv")
    run(dataset, *argv, ok=(2,))
    assert run(dataset, "datalad", "mrishare-consent", "--receipt", "sub-99", ok=(1,))
    assert call(dataset, at="yesterday")["status"] == "error"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"<!-- part: contact -->\n$phone", ["line 2", "part `contact`", "$phone"]),
        (b"<!-- part: contract -->\n", ["line 1", "contract"]),
        (b"<!-- part: contact -->\nM\xfcller", ["UTF-8"]),
        (b"<!-- part: contact -->\nlike Sub-02", ["another participant", "sub-02"]),
        (b"hello", ["no parts"]),
    ],
)
def test_a_wording_of_the_dataset_can_be_refused(
    dataset: Path, text: bytes, words: list[str]
) -> None:
    commit(dataset, ".datalad/mrishare/receipt.md", text)
    found = call(dataset)
    assert found["status"] == "error" and "receipt" not in found
    for word in (".datalad/mrishare/receipt.md", *words):
        assert word in found["message"]


def test_a_form_that_names_somebody_else_is_refused(dataset: Path) -> None:
    forms = "own: {extends: obc-gdpr-ult-1.1.0, title: as signed by sub-02}\n"
    commit(dataset, ".datalad/mrishare/forms.yaml", forms)
    row = "sub-04\tgiven\town\t2026-01-01\tn/a\t2026-01-01\tx\n"
    import_consent(Checkout(dataset), (HEAD + row).encode(), "r.tsv", today=date(2026, 5, 4))
    found = call(dataset, "sub-04")
    assert found["status"] == "error" and "sub-02" in found["what"]
    assert receipt(dataset, "sub-01")


# -- nobody else


@pytest.mark.slow
def test_nobody_else_is_in_a_receipt(dataset: Path) -> None:
    add_path(dataset, "mirror", "institution")
    add_path(dataset, "backup", "backup")
    publish(dataset, "mirror")
    publish(dataset, "backup")
    alone = receipt(dataset)
    assert len(alone) > 2000
    labels = {label.lower() for label in re.findall(r"sub-[A-Za-z0-9]+", alone)}
    assert labels == {"sub-01"}
    canaries = ["canary", "binder", "group", "mean", str(dataset), str(dataset.parent)]
    canaries += ["Test Steward", "steward@example.org"]
    for canary in canaries:
        assert canary not in alone, canary
    # with everybody else's data the figures are the same
    for who in ("sub-02", "sub-03", "sub-04"):
        run(dataset, "git", "rm", "-r", "--quiet", who)
    run(dataset, "git", "commit", "--quiet", "-m", "fewer")
    assert receipt(dataset) == alone


def test_what_an_event_holds_leaves_in_no_release(dataset: Path) -> None:
    policy = dataset.parent / "open.yaml"
    policy.write_text("policy: institution\ncommons: ['.datalad/*', '*.json', '*']\n")
    place = add_path(dataset, "mirror", str(policy))
    publish(dataset, "mirror")
    assert last_event(dataset)["holds"]["sub-01"]["files"] > 0
    # a second release is made of a tree that has the event of the first
    consent(dataset, ("sub-04", "given"))
    publish(dataset, "mirror")
    tree = run(place, "git", "ls-tree", "-r", "--name-only", "main").split()
    assert "sub-04/anat/sub-04_T1w.nii.gz" in tree
    assert not [path for path in tree if "events/" in path]
    assert scanner.scan(place, ['"holds"', "keys_digest", "keys_not_taken_back"]) == {}
    assert scanner.scan(dataset, ['"holds"']) != {}  # the scanner would have seen it


# -- the truth


def test_what_an_event_holds(dataset: Path) -> None:
    (dataset / "participants.json").write_text('{"sub-01": {"age": 30}, "sub-04": {"age": 31}}')
    run(dataset, "git", "add", "participants.json")
    run(dataset, "git", "commit", "--quiet", "-m", "a table in JSON")
    place = add_path(dataset, "mirror", "institution")
    publish(dataset, "mirror")
    held = last_event(dataset)["holds"]
    sizes = [p.stat().st_size for p in dataset.glob("sub-01/**/*") if p.is_file()]
    assert held["sub-01"] == {"files": 5, "bytes": sum(sizes), "tables": 2}
    assert held["sub-01+sub-02"] == {"files": 1, "bytes": 6170}
    assert set(held) == {"sub-01", "sub-02", "sub-01+sub-02"}
    tree = run(place, "git", "ls-tree", "-r", "--name-only", "main").split()
    assert len([p for p in tree if "sub-01" in p and "sub-02" not in p]) == 5


@pytest.mark.slow
def test_from_nothing_to_sharing_to_taken_back(dataset: Path) -> None:
    place = add_path(dataset, "mirror", "institution")
    before = receipt(dataset)
    assert "Nowhere: on record is no publication" in before
    assert "you agreed to the form Open Brain" in before
    publish(dataset, "mirror")
    today = last_event(dataset)["when"][:10]
    shared = lines(receipt(dataset), "Where your data were shared")
    assert re.fullmatch(rf"- {today}: 5 of your files lie there, \d+\.\d kB in all\.", shared[0])
    assert shared[1] == "- Tables with a line about you: 1."
    assert "several people, yours among them, were sent there, too." in shared[2]
    for who in ("sub-03", "sub-04"):
        assert "Nowhere" in receipt(dataset, who)
    other = receipt(dataset, "sub-02")
    consent(dataset, ("sub-01", "withdrawn", "stop-use"))
    still = receipt(dataset)
    assert "the next one takes back what lies there" in still
    assert "consent was withdrawn on 2026-03-01" in still
    publish(dataset, "mirror")
    after = receipt(dataset)
    shared = lines(after, "Where your data were shared")
    assert shared[2] == f"- {today}: taken back. None of your files lies there any more."
    assert shared[3].endswith("yours among them, were taken back.")
    assert len(shared) == 4 and "takes back what lies" not in after
    assert not [key for key in keys_at(place) if "-s6170-" in key]
    # the result of both was taken back, which is nothing that 02 is told
    assert receipt(dataset, "sub-02") == other


@pytest.mark.slow
def test_backups_are_kept_and_not_shared(dataset: Path) -> None:
    add_path(dataset, "backup", "backup")
    publish(dataset, "backup")
    text = receipt(dataset, "sub-03")
    assert "Nowhere" in text
    kept = lines(text, "What the institution keeps for itself")
    assert len(kept) == 1 and "5 of your files" in kept[0]
    consent(dataset, ("sub-01", "withdrawn", "stop-use"))
    publish(dataset, "backup")
    kept = lines(receipt(dataset), "What the institution keeps for itself")
    assert "some were taken back. 3 of your files lie there" in kept[1]
    assert kept[2].endswith("were taken back.")


def test_deferred_files_are_listed_by_name_only(dataset: Path) -> None:
    policy = dataset.parent / "small.yaml"
    policy.write_text("policy: institution\nbudget: 80 kB\n")
    place = add_path(dataset, "mirror", str(policy))
    publish(dataset, "mirror")
    shared = lines(receipt(dataset, "sub-02"), "Where your data were shared")
    # sidecars and events are text in git; two images did not fit
    assert "3 of your files lie there" in shared[0]
    assert "- Files of which only the name is there, without the content: 2." in shared
    assert len(keys_at(place)) == 2


def test_a_run_that_ended_before_its_event_leaves_no_gap(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_path(dataset, "mirror", "institution")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Publication, "event", interrupt)
        publish(dataset, "mirror")
    assert "Nowhere" in receipt(dataset)
    publish(dataset, "mirror")
    assert last_event(dataset)["keys_sent"] == 0
    assert "5 of your files" in lines(receipt(dataset), "Where your data were shared")[0]


@pytest.mark.slow
def test_content_that_could_not_be_taken_back_is_told(dataset: Path) -> None:
    add_path(dataset, "mirror", "institution")
    publish(dataset, "mirror")
    images = "sub-01/anat/sub-01_T1w.nii.gz"
    run(dataset, "git", "annex", "drop", "--force", images)
    consent(dataset, ("sub-01", "withdrawn", "stop-sharing"))
    publish(dataset, "mirror")
    assert last_event(dataset)["keys_not_taken_back"] == 1
    text = receipt(dataset)
    assert "some were taken back. 1 of your files lie there" in text
    assert "Not everything that was to" in text


def test_a_day_in_the_past(dataset: Path) -> None:
    add_path(dataset, "mirror", "institution")
    publish(dataset, "mirror")
    consent(dataset, ("sub-01", "withdrawn", "erase"))
    then = receipt(dataset, at="2026-02-01")
    assert "Nowhere" in then and "withdrawn" not in then.split("## How to withdraw")[0]
    assert "What is permitted on 2026-02-01\n\nFor all your data here (5 files" in then
    assert "Nothing is on record about you" in receipt(dataset, at="2025-12-31")


def test_no_data_and_no_record(dataset: Path) -> None:
    table = dataset / "participants.tsv"
    commit(dataset, "participants.tsv", table.read_text() + "sub-05\t30\tF\n")
    text = receipt(dataset, "sub-05")
    assert "Nothing is on record about you" in text
    assert "Nothing, and there are no data of yours here: no consent" in text


# -- use


def test_on_the_command_line(dataset: Path) -> None:
    add_path(dataset, "mirror", "institution")
    publish(dataset, "mirror")
    printed = run(dataset, "datalad", "mrishare-consent", "--receipt", "sub-01")
    assert printed == receipt(dataset) and printed.startswith("# Receipt for participant sub-01\n")
    out = run(dataset, "datalad", "-f", "json", "mrishare-consent", "--receipt", "01")
    (found,) = (json.loads(line) for line in out.splitlines() if line.startswith("{"))
    assert found["receipt"] == printed and found["action"] == "mrishare-consent"
    assert found["at"] == date.today().isoformat()
    assert run(dataset, "git", "status", "--porcelain") == ""


def test_the_steward_can_do_what_the_receipt_says(dataset: Path) -> None:
    place = add_path(dataset, "mirror", "institution")
    publish(dataset, "mirror")
    text = receipt(dataset)
    block = re.findall(r"^    (.*)$", text, re.M)
    assert "datalad mrishare-publish --to mirror" in block
    table = "\n".join(block[:2]).replace("YEAR-MONTH-DAY", "2026-03-01") + "\n"
    (dataset / "withdrawal.csv").write_text(table)
    for command in block[2:]:
        run(dataset, *command.split())
    assert "taken back" in receipt(dataset)
    assert "sub-01" not in run(place, "git", "ls-tree", "-r", "--name-only", "main")


def test_an_institution_words_it_in_its_own_way(dataset: Path) -> None:
    own = "<!-- part: contact -->\nStudienbüro, Zimmer 7\n\n<!-- part: by-self -->\nDu selbst\n"
    (dataset / ".datalad/mrishare/receipt.md").write_text(own)
    assert "Zimmer 7" not in receipt(dataset)  # not committed, not heeded
    commit(dataset, ".datalad/mrishare/receipt.md", own)
    text = receipt(dataset)
    assert "\nStudienbüro, Zimmer 7\n" in text and "**2026-01-01**: Du selbst" in text
    place = add_path(dataset, "mirror", "institution")
    publish(dataset, "mirror")
    assert scanner.scan(place, ["Zimmer 7", "receipt.md"]) == {}


@pytest.mark.slow
def test_a_label_that_another_begins_with_is_not_mistaken_for_it(tmp_path: Path) -> None:
    bids = make_bids(tmp_path / "bids", ["sub-1", "sub-10", "sub-100"])
    register(tmp_path / "study", bids)
    add_path(tmp_path / "study", "mirror", "institution")
    consent(tmp_path / "study", ("sub-1", "given"), ("sub-10", "given"))
    publish(tmp_path / "study", "mirror")
    for who in ("sub-1", "sub-10", "sub-100"):
        text = receipt(tmp_path / "study", who)
        assert set(re.findall(r"sub-[A-Za-z0-9]+", text)) == {who}
        assert ("Nowhere" in text) == (who == "sub-100")
