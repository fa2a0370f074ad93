"""``datalad mrishare-verify``: what a sibling tells, seen from a fresh clone."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from builders import remove, run
from leaks import world
from mirrors import add_path, add_ria, bare, consent, keys_of, told
from siblings import test_depends

from datalad_mrishare.repo.worktree import Checkout
from datalad_mrishare.sharing.siblings import declare

BOLD = "sub-01/func/sub-01_task-rest_bold.nii.gz"
NEUTRAL_USER = ("-c", "user.name=datalad-mrishare", "-c", "user.email=datalad-mrishare@invalid")
FUNC = "func/sub-{}_task-rest_bold.nii.gz"


def verified(dataset: Path, name: str, *, code: int, **options: Any) -> list[dict[str, Any]]:
    """Results of the command; the last one is the summary."""
    from datalad.api import mrishare_verify

    quiet = {"result_renderer": "disabled", "on_failure": "ignore"}
    found = list(mrishare_verify(name, dataset=dataset, **options, **quiet))
    wrong = [r["message"] for r in found if r["status"] in ("error", "impossible")]
    assert bool(wrong) == bool(code), wrong
    return found


def kinds(found: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Kind of finding -> what was found."""
    result: dict[str, set[str]] = {}
    for res in found:
        if "kind" in res:
            result.setdefault(res["kind"], set()).add(str(res["what"] or res["canary"]))
    return result


def put(place: Path, files: dict[str, bytes]) -> None:
    """Put files into storage."""
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)


def blob(place: Path, content: bytes) -> None:
    """Put an object into a repository that no ref leads to."""
    (place.parent / "blob").write_bytes(content)
    run(place, "git", "hash-object", "-w", str(place.parent / "blob"))


@pytest.fixture
def shared(registered: Path) -> Path:
    """Published to ``mir``: sub-01 and sub-02 permit, sub-03 refused, sub-04 has no record."""
    add_path(registered, "mir", "institution")
    consent(registered, ("sub-01", "given"), ("sub-02", "given"), ("sub-03", "refused"))
    told(registered)
    return registered


def test_a_release_is_clean_and_complete(shared: Path, tmp_path: Path) -> None:
    words = tmp_path / "private.txt"
    words.write_text("# names\nTest Steward\n\nJane Doe\n1970-05-03\n")
    found = verified(shared, "mir", code=0, canaries=str(words), content=True)
    (summary,) = found
    assert summary["findings"] == 0 and summary["objects"] > 20
    assert summary["promised"] == summary["there"] == summary["retrieved"] == 4
    assert summary["storage"] == [str(shared.parent / "mir.git")]
    (sampled,) = verified(shared, "mir", code=0, sample=1)
    assert sampled["retrieved"] == 1


def test_the_event(shared: Path, tmp_path: Path) -> None:
    place = shared.parent / "mir.git"
    (place / "of sub-03").write_text("by Jane Doe")
    words = tmp_path / "private.txt"
    words.write_text("Jane Doe\n")
    before = run(shared, "git", "rev-parse", "HEAD").strip()
    found = verified(shared, "mir", code=1, canaries=str(words))
    path = found[-1]["event"]
    text = run(shared, "git", "show", f"HEAD:{path}")
    event = json.loads(text)
    assert (event["event"], event["sibling"], event["commit"]) == ("verified", "mir", before)
    assert event["release"] == run(place, "git", "rev-parse", "main").strip()
    assert event["findings"] == {"canary": 1, "participant": 1}
    assert (event["keys_promised"], event["keys_there"], event["canaries"]) == (4, 4, 1)
    assert not re.search(r"sub-|Jane|SHA256E|MD5E|/tmp|\.git", text), text
    assert run(shared, "git", "status", "--porcelain") == ""
    assert run(shared, "git", "log", "-1", "--format=%s") == "Record verification of mir\n"
    assert told(shared)[-1]["status"] == "notneeded", "nothing to publish"


def test_no_event_about_what_was_never_declared(registered: Path, tmp_path: Path) -> None:
    place = bare(tmp_path / "hand.git")
    run(registered, "git", "remote", "add", "hand", os.path.relpath(place, registered))
    before = run(registered, "git", "rev-parse", "HEAD")
    (summary,) = verified(registered, "hand", code=0)
    assert summary["event"] is None and "no branch" in summary["message"]
    assert run(registered, "git", "rev-parse", "HEAD") == before


def test_a_sibling_that_was_filled_by_hand(registered: Path) -> None:
    place = bare(registered.parent / "hand.git")
    run(place, "git", "annex", "init", "hand")
    run(registered, "git", "remote", "add", "hand", str(place))
    consent(registered, ("sub-01", "given"), ("sub-03", "refused"))
    run(registered, "git", "annex", "metadata", "--set", "note=secret", BOLD)
    run(registered, "datalad", "push", "--to", "hand", "--data", "anything")
    found = kinds(verified(registered, "hand", code=1))
    assert found["participant"] == {"sub-02", "sub-03", "sub-04"}
    withheld = keys_of(registered, "sub-02", "sub-03", "sub-04")
    events = {f"{p}/func/{p}_task-rest_events.tsv" for p in found["participant"]}
    assert found["key"] == withheld and found["content"] == withheld | events
    assert ".datalad/mrishare/consent.tsv" in found["registry"]
    assert keys_of(registered, BOLD) <= found["metadata"]
    assert "Test Steward <steward@example.org>" in found["identity"]
    assert run(registered, "git", "config", "annex.uuid").strip() in found["machine"]
    assert any("@" in word and ":/" in word for word in found["machine"]), "how it is described"
    assert "missing" not in found and "residue" not in found


@pytest.mark.parametrize(
    ("how", "kind", "what"),
    [
        ("tree", "participant", "sub-03"),
        ("message", "participant", "sub-03"),
        ("ref", "participant", "sub-03"),
        ("unknown", "participant", "sub-77"),
        ("author", "identity", "Jane Doe <jane@hospital.example>"),
        ("metadata", "metadata", None),
        ("unreachable", "participant", "sub-03"),
        ("twin", "participant", "sub-03"),
        ("image", "content", None),
        ("gzip", "canary", "1"),
        ("wide", "canary", "1"),
        ("base64", "canary", "1"),
    ],
)
@pytest.mark.slow
def test_what_somebody_added_there(
    shared: Path, tmp_path: Path, how: str, kind: str, what: str | None
) -> None:
    place = shared.parent / "mir.git"
    work = tmp_path / "intruder"
    run(tmp_path, "git", "clone", "--quiet", str(place), str(work))
    who = ("-c", "user.name=datalad-mrishare", "-c", "user.email=datalad-mrishare@invalid")
    if how == "author":
        who = ("-c", "user.name=Jane Doe", "-c", "user.email=jane@hospital.example")
    if how == "image":
        (what,) = keys_of(shared, "sub-03/anat/sub-03_T1w.nii.gz")
    content = {
        "image": (shared / "sub-03/anat/sub-03_T1w.nii.gz").read_bytes(),
        "unknown": b"like sub-77\n",
        "tree": b"not sub-03\n",
        "gzip": gzip.compress(b"x" * 99_999 + b"Canary Name"),
        "wide": "a Canary Name".encode("utf-16-le"),
        "base64": b"bm90aGluZyBDYW5hcnkgTmFtZSBoZXJl\n",
    }.get(how, b"a word\n")
    (work / "more.txt").write_bytes(content)
    if how == "twin":  # the same content as another file: git tells one path of it
        (work / "zz sub-03\nx.txt").write_bytes(content)
    run(work, "git", "add", "--all")
    run(work, "git", *who, "commit", "--quiet", "-m", "as sub-03" if how == "message" else "more")
    if how == "ref":
        run(work, "git", "push", "--quiet", "origin", "HEAD:refs/heads/for-sub-03")
    elif how == "unreachable":
        (tmp_path / "blob").write_text("about sub-03")
        run(place, "git", "hash-object", "-w", str(tmp_path / "blob"))
    elif how == "metadata":
        (key,) = keys_of(shared, BOLD)
        run(place, "git", "annex", "metadata", f"--key={key}", "--set", "note=x")
        run(place, "git", "annex", "merge")
        what = key
    else:
        run(work, "git", "push", "--quiet", "origin", "HEAD")
    words = tmp_path / "private.txt"
    words.write_text("canary name\n")
    found = verified(shared, "mir", code=1, canaries=str(words))
    assert kinds(found)[kind] == {what}, found
    assert "canary name" not in json.dumps(found, default=str).lower()


def test_what_lies_in_the_storage(shared: Path, tmp_path: Path) -> None:
    place = shared.parent / "mir.git"
    (place / "of sub-03").mkdir()
    (place / "of sub-03" / "empty").touch()
    os.mkfifo(place / "pipe")
    (place / "dangling").symlink_to("/nowhere/sub-04")
    long = b"x" * ((1 << 22) - 5) + b" sub-03 " + b"y" * 10
    (place / "long").write_bytes(long)
    words = tmp_path / "private.txt"
    words.write_text("NOWHERE\n")
    found = verified(shared, "mir", code=1, canaries=str(words))
    assert kinds(found) == {
        "participant": {"sub-03", "sub-04"},
        "unread": {"pipe: is no file"},
        "canary": {"1"},
    }
    (places,) = (r["places"] for r in found if r.get("what") == "sub-03")
    assert places == 2 and "nowhere" not in json.dumps(found, default=str).lower()
    assert not (shared / ".git/mrishare/verify.clone").exists()


def test_what_the_names_of_keys_hide(shared: Path) -> None:
    """A key that nobody here knows says nothing of its content."""
    place = shared.parent / "mir.git"
    first, second = (f"sub-03/{n}" for n in ("anat/sub-03_T1w.nii.gz", FUNC.format("03")))
    keys = [*keys_of(shared, first), *keys_of(shared, second)]
    withheld = (shared / first).read_bytes()
    other = f"MD5E-s{len(withheld)}--{hashlib.md5(withheld).hexdigest()}.nii.gz"
    files = {
        f"annex/objects/aaa/bbb/{other}/{other}": withheld,
        f"old/{keys[1].replace('.nii.gz', '.bin')}": b"whatever it is",
        "old/SHA256E-s9--00ff.tsv": b"as sub-04 said",
        "old/WORM-s9-m1--sub-77_T1w.nii.gz": b"x",
    }
    put(place, files)
    found = kinds(verified(shared, "mir", code=1))
    assert found == {"participant": {"sub-04", "sub-77"}, "content": {*keys}}


def test_what_is_packed(shared: Path) -> None:
    place = shared.parent / "mir.git"
    (key,) = keys_of(shared, "sub-04/anat")
    table = b"participant_id\nsub-03\n"
    far = os.urandom(5 << 20) + f" {key} in {shared} of sub-77".encode()
    put(place, {"old/a.tsv.gz": gzip.compress(table), "old/b.gz": gzip.compress(far)})
    blob(place, gzip.compress(b"as sub-04 said"))
    found = kinds(verified(shared, "mir", code=1))
    assert found["participant"] == {"sub-03", "sub-04", "sub-77"}
    assert found["key"] == {key} and str(shared) in found["machine"]


def test_what_is_written_in_wide_characters(shared: Path) -> None:
    place = shared.parent / "mir.git"
    (key,) = keys_of(shared, "sub-04/anat")
    put(place, {"old/table.tsv": "participant_id\nsub-03\n".encode("utf-16-le")})
    blob(place, "as sub-04 said".encode("utf-16-be"))
    blob(place, gzip.compress(f"{key} of sub-77".encode("utf-16")))
    found = kinds(verified(shared, "mir", code=1))
    assert found == {"participant": {"sub-03", "sub-04", "sub-77"}, "key": {key}}


def test_withheld_files_of_git_under_another_name(registered: Path) -> None:
    place = add_path(registered, "mir", "institution")
    image, events = "sub-03/anat/sub-03_T2w.nii.gz", "sub-03/func/sub-03_task-x_events.tsv"
    twins = [f"sub-0{n}/func/sub-0{n}_task-y_events.tsv" for n in (1, 3)]
    texts = {image: gzip.compress(b"voxels"), events: b"onset\tduration\n3\t4\n"}
    texts |= dict.fromkeys(twins, b"onset\tduration\n1\t2\n")
    put(registered, texts)
    run(registered, "git", "annex", "add", "--force-small", *texts)
    run(registered, "git", "commit", "--quiet", "-m", "more")
    consent(registered, ("sub-01", "given"), ("sub-02", "given"), ("sub-03", "refused"))
    told(registered)
    verified(registered, "mir", code=0)
    blob(place, texts[image])
    put(place, {"old/x.bin": texts[events]})
    assert kinds(verified(registered, "mir", code=1)) == {"content": {image, events}}
    run(place, "git", "gc", "--quiet", "--prune=now")
    (place / "old/x.bin").unlink()
    # what was permitted once stays in the history, and is no finding
    consent(registered, ("sub-01", "withdrawn"), ("sub-03", "given"))
    told(registered)
    found = verified(registered, "mir", code=0)
    assert "sub-01" in kinds(found)["residue"]


def test_directories_with_nothing_in_them(shared: Path) -> None:
    place = shared.parent / "mir.git"
    (key,) = keys_of(shared, "sub-04/anat")
    (place / "old/sub-03").mkdir(parents=True)
    (place / "annex/objects/aaa/bbb" / key).mkdir(parents=True)
    found = kinds(verified(shared, "mir", code=1))
    assert found == {"participant": {"sub-03"}, "key": {key}}


def test_who_worked_there(shared: Path) -> None:
    place = shared.parent / "mir.git"
    run(place, "git", "config", "core.logAllRefUpdates", "true")
    who = {"USER": "Jane Doe <jane@hospital.example>", "SAME": "Jane <datalad-mrishare@invalid>"}
    log = f"{'0' * 40} {'1' * 40} {who['USER']} 1700000000 +0100\tpush\n"
    put(place, {"logs/refs/heads/main": log.encode()})
    run(place, "git", "config", "user.email", "joe@hospital.example")
    commit = run(place, "git", "cat-file", "commit", "main").replace("datalad-mrishare <", "Jane <")
    (place.parent / "commit").write_text(commit)
    run(place, "git", "hash-object", "-t", "commit", "-w", str(place.parent / "commit"))
    found = kinds(verified(shared, "mir", code=1))
    assert found == {"identity": {*who.values(), "joe@hospital.example"}}


def test_what_is_promised_and_gone(shared: Path) -> None:
    place = shared.parent / "mir.git"
    (key,) = keys_of(shared, BOLD)
    for found in (place / "annex/objects").rglob(key):
        if found.is_dir():
            remove(found)
    found = verified(shared, "mir", code=1)
    assert kinds(found) == {"missing": {key}} and found[-1]["there"] == 3


def test_a_flipped_byte(shared: Path) -> None:
    place = shared.parent / "mir.git"
    (key,) = keys_of(shared, BOLD)
    (image,) = (p for p in (place / "annex/objects").rglob(key) if p.is_file())
    image.chmod(0o644)
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1
    image.write_bytes(data)
    verified(shared, "mir", code=0)
    assert kinds(verified(shared, "mir", code=1, content=True)) == {"missing": {key}}


@pytest.mark.slow
def test_what_was_permitted_once(shared: Path) -> None:
    consent(shared, ("sub-02", "withdrawn"))
    told(shared)
    found = verified(shared, "mir", code=0)
    events = "sub-02/func/sub-02_task-rest_events.tsv"  # in git, so its content stays as well
    assert kinds(found) == {"residue": {"sub-02", events, *keys_of(shared, "sub-02")}}
    consent(shared, ("sub-01", "withdrawn", "erase"))
    told(shared)
    found = kinds(verified(shared, "mir", code=1))
    assert "sub-01" in found["participant"] and "sub-02" in found["residue"]


@pytest.mark.slow
def test_own_storage(registered: Path) -> None:
    place = add_path(registered, "bak", "backup")
    consent(registered, ("sub-01", "given"), ("sub-03", "refused"))
    told(registered, "bak")
    (summary,) = verified(registered, "bak", code=0, content=True)
    assert summary["retrieved"] == len(keys_of(registered, "sub-")) == 8
    consent(registered, ("sub-04", "withdrawn", "erase"))
    found = kinds(verified(registered, "bak", code=1))
    assert found.keys() == {"residue", "content"} and place.exists()
    told(registered, "bak")
    # its names stay in the history, and its content is gone
    assert kinds(verified(registered, "bak", code=0)).keys() <= {"residue"}


@pytest.mark.slow
def test_content_beside_the_names(registered: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    words = ("type=directory", f"directory={store}", "encryption=none")
    run(registered, "git", "annex", "initremote", "store", *words)
    names = bare(tmp_path / "names.git")
    run(registered, "git", "remote", "add", "mir", str(names))
    run(registered, "git", "config", "remote.mir.datalad-publish-depends", "store")
    run(registered, "git", "config", "remote.mir.annex-ignore", "true")
    declare(Checkout(registered), "mir", "institution")
    consent(registered, ("sub-01", "given"), ("sub-03", "refused"))
    told(registered)
    found = verified(registered, "mir", code=0)
    assert found[-1]["storage"] == [str(names), str(store)] and found[-1]["findings"] == 0
    assert (found[-1]["promised"], found[-1]["unreached"]) == (0, 2), "nobody enabled it"
    (key,) = keys_of(registered, "sub-03/anat")
    (store / key).write_bytes(b"put there by hand")
    found = verified(registered, "mir", code=1)
    assert kinds(found) == {"content": {key}}


@pytest.mark.slow
def test_a_ria_store(registered: Path) -> None:
    add_ria(registered, "mir", "institution")
    consent(registered, ("sub-01", "given"), ("sub-03", "refused"))
    told(registered)
    (summary,) = verified(registered, "mir", code=0, content=True)
    assert summary["promised"] == summary["retrieved"] == 2


@pytest.mark.slow
@pytest.mark.slow
def test_all_canaries(tmp_path: Path) -> None:
    dataset, canaries = world.build(tmp_path)
    place = bare(tmp_path / "hand.git")
    run(dataset, "git", "remote", "add", "hand", str(place))
    add_path(dataset, "mir", "institution")
    told(dataset, code=1)  # some of it cannot be shared, and is told
    words = tmp_path / "private.txt"
    words.write_text("".join(f"{c}\n" for c in canaries))
    found = verified(dataset, "mir", code=1, canaries=str(words), content=True)
    # what headers of one who permits tell may go to a sibling that takes what is identifiable
    own = {str(n) for n, c in enumerate(canaries, start=1) if c.startswith(world.HEADERS)}
    assert kinds(found) == {"canary": own} and len(own) == 9
    run(dataset, "git", "push", "--quiet", "--mirror", "hand")
    seen = kinds(verified(dataset, "hand", code=1, canaries=str(words)))["canary"]
    # what stands in annexed content, stashes and configuration was not pushed
    assert len(seen) > len(canaries) * 0.6


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("nosuch", {}, "neither declared nor a remote"),
        ("mir", {"canaries": "nosuch.txt"}, "cannot be read"),
        ("mir", {"canaries": "short"}, "less than three"),
        ("gone", {}, "cannot be cloned"),
        ("mir", {"policy": "public"}, "has a policy of its own"),
        ("gone", {"policy": "nosuch"}, "'nosuch' is no preset"),
        ("../x", {}, "neither declared nor a remote"),
    ],
)
def test_what_cannot_be_verified(
    shared: Path, tmp_path: Path, name: str, options: dict[str, str], says: str
) -> None:
    if options.get("canaries") == "short":
        (tmp_path / "short.txt").write_text("Jane Doe\nAB\n")
        options = {"canaries": str(tmp_path / "short.txt")}
    run(shared, "git", "remote", "add", "gone", str(tmp_path / "gone.git"))
    (res,) = verified(shared, name, code=1, **options)
    assert says in res["message"]


def test_what_contents_tell_at_a_sibling_filled_by_hand(registered: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    image.header["descrip"] = b"like sub-03"
    files = {
        "sub-01/func/sub-01_task-new_bold.nii.gz": gzip.compress(image.to_bytes(), mtime=0),
        "sub-01/anat/sub-01_T1w.dcm": b"\0" * 128 + b"DICMx",
    }
    for path, content in files.items():
        (registered / path).write_bytes(content)
    run(registered, "git", "annex", "add", "--force-large", *files)
    run(registered, "git", "commit", "--quiet", "-m", "by hand")
    consent(registered, ("sub-01", "given"))
    place = bare(registered.parent / "hand.git")
    run(place, "git", "annex", "init", "--quiet", "hand")
    branches = ("main", "git-annex:synced/git-annex")
    run(registered, "git", "push", "--quiet", "--no-verify", str(place), *branches)
    run(registered, "git", "remote", "add", "hand", str(place))
    run(registered, "git", "annex", "copy", "--quiet", "--to", "hand", *files)
    found = verified(registered, "hand", code=1, content=True, policy="public")
    assert kinds(found)["header"] == {
        "the name and number of a patient (DICOM)",
        "text in the field descrip",
    }
    (named,) = [r for r in found if r.get("first") == f"content of {next(iter(files))}"]
    assert (named["kind"], named["what"]) == ("header", "text in the field descrip")
    allowed = verified(registered, "hand", code=1, content=True)
    assert kinds(allowed)["header"] == {"the name and number of a patient (DICOM)"}


def test_a_path_of_the_machine_in_what_was_retrieved(registered: Path) -> None:
    path = "sub-01/func/sub-01_task-rest_physio.tsv.gz"
    (registered / path).write_bytes(gzip.compress(f"1\t{registered}/x\n".encode()))
    run(registered, "git", "annex", "add", "--force-large", path)
    run(registered, "git", "commit", "--quiet", "-m", "by hand")
    add_path(registered, "mir", "institution")
    consent(registered, ("sub-01", "given"))
    told(registered)
    verified(registered, "mir", code=0)
    found = verified(registered, "mir", code=1, content=True)
    assert str(registered) in kinds(found)["machine"] and kinds(found).keys() == {"machine"}


def test_what_a_release_keeps_back_verify_does_not_find(registered: Path) -> None:
    uuid = run(registered, "git", "config", "annex.uuid").strip()
    texts = {"README": f"made in {registered}", "CHANGES": f"of {uuid}"}
    put(registered, {name: text.encode() for name, text in texts.items()})
    run(registered, "git", "add", *texts)
    run(registered, "git", "commit", "--quiet", "-m", "more")
    add_path(registered, "mir", "institution")
    consent(registered, ("sub-01", "given"))
    found = [r for r in told(registered, code=1) if r.get("component") == "machine"]
    assert sum(r["files"] for r in found) == 2 and "steward's machine" in found[0]["message"]
    verified(registered, "mir", code=0)


@pytest.mark.slow
def test_content_in_another_repository_waits_for_nobody(shared: Path, tmp_path: Path) -> None:
    place, clone = shared.parent / "mir.git", tmp_path / "elsewhere"
    run(tmp_path, "git", "clone", "--quiet", str(place), str(clone))
    who = NEUTRAL_USER
    run(clone, "git", *who, "annex", "init", "--quiet", "elsewhere")
    run(clone, "git", *who, "annex", "get", "--quiet", BOLD)
    run(clone, "git", "push", "--quiet", "origin", "git-annex")
    (key,) = keys_of(shared, BOLD)
    run(place, "git", "annex", "drop", "--force", "--key", key)
    found = verified(shared, "mir", code=0)
    assert found[-1]["unreached"] == 0 and found[-1]["promised"] == 3


@pytest.mark.slow
def test_the_cipher_of_the_release_is_no_secret(registered: Path, tmp_path: Path) -> None:
    test_depends.in_directory(registered, tmp_path, "encryption=shared")
    declare(Checkout(registered), "mir", "institution")
    consent(registered, ("sub-01", "given"))
    told(registered)
    verified(registered, "mir", code=0)
    # that of the dataset may open other things
    names = tmp_path / "place/mir.git"
    own = run(registered, "git", "show", "git-annex:remote.log")
    (tmp_path / "blob").write_text(own)
    oid = run(names, "git", "hash-object", "-w", str(tmp_path / "blob")).strip()
    (tmp_path / "tree").write_text(f"100644 blob {oid}\tremote.log\n")
    made = run(names, "bash", "-c", f"git mktree < '{tmp_path}/tree'").strip()
    commit = run(names, "git", *NEUTRAL_USER, "commit-tree", "-m", "x", made).strip()
    run(names, "git", "branch", "more", commit)
    assert kinds(verified(registered, "mir", code=1)).keys() == {"credential"}


def test_what_is_printed(shared: Path) -> None:
    (shared.parent / "mir.git/of sub-03").touch()
    for name, word in (("nosuch", "error"), ("mir", "found")):
        said = run(shared, "datalad", "mrishare-verify", name, ok=(1,))
        assert said.startswith(word), said
