"""Files that appear whole or not at all."""

import errno
import os
import stat

import pytest

from cbm_lake.files import durable


@pytest.fixture
def umask():
    """The usual one, whatever ran before."""
    former = os.umask(0o022)
    yield
    os.umask(former)


@pytest.mark.usefixtures("umask")
def test_a_draft_becomes_the_file_with_the_suffix_and_rights_asked_for(tmp_path):
    for private, rights in ((True, 0o600), (False, 0o644)):
        file = tmp_path / "new" / f"{private}.csv"
        with durable.replacing(file, private=private) as draft:
            assert (draft.parent, draft.suffix, file.exists()) == (file.parent, ".csv", False)
            draft.write_text("a,b\n")
        assert file.read_text() == "a,b\n"
        assert file.stat().st_mode & 0o777 == rights
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_what_breaks_off_leaves_the_former_file_and_no_draft(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("before")

    def write_half():
        with durable.replacing(file) as draft:
            draft.write_text("half")
            raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert file.read_text() == "before"


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_the_write_has_ended(tmp_path, monkeypatch):
    file, happened = tmp_path / "a.txt", []
    real = durable.os.fsync
    monkeypatch.setattr(durable.os, "fsync", lambda handle: (happened.append(file.exists()), real(handle)))
    with durable.replacing(file) as draft:
        draft.write_text("whole")
    assert happened == [False, True]


def test_each_file_and_each_folder_is_synced_once(tmp_path, monkeypatch):
    files = [tmp_path / folder / name for folder in ("a", "b") for name in ("1", "2", "3")]
    for file in files:
        durable.make_folder(file.parent)
        file.write_text("")
    synced = []
    real = durable.os.open
    monkeypatch.setattr(durable.os, "open", lambda path, flags: (synced.append(path), real(path, flags))[1])
    durable.sync(files)
    assert sorted(synced[:6]) == files
    assert sorted(synced[6:]) == [tmp_path / "a", tmp_path / "b"]


def test_a_file_system_that_syncs_no_folders_is_written_to_all_the_same(tmp_path, monkeypatch):
    """Some that lie on a network say EINVAL."""
    real = os.fsync

    def of_files_only(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(durable.os, "fsync", of_files_only)
    assert durable.create(tmp_path / "a" / "1", b"one")
    with durable.replacing(tmp_path / "2") as draft:
        draft.write_text("two")
    durable.move(tmp_path / "a", tmp_path / "b")
    durable.sync([tmp_path / "b" / "1", tmp_path / "b"])
    assert (tmp_path / "b" / "1").read_bytes() == b"one"


def test_a_file_that_cannot_be_synced_is_an_error(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.create(tmp_path / "1", b"one")
    with pytest.raises(OSError, match="No space"), durable.replacing(tmp_path / "2") as draft:
        draft.write_text("two")
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_hard_links_a_full_disk_leaves_no_name_behind(tmp_path, monkeypatch):
    """Else half an entry of a log would stand under its number for ever."""
    real, synced = os.fsync, []

    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    def full_at_the_second(handle):
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(durable.os, "link", no_links)
    monkeypatch.setattr(durable.os, "fsync", full_at_the_second)
    with pytest.raises(OSError, match="No space"):
        durable.create(tmp_path / "1", b"one")
    assert list(tmp_path.iterdir()) == []
    assert durable.create(tmp_path / "1", b"one")
    assert not durable.create(tmp_path / "1", b"other")
    assert (tmp_path / "1").read_bytes() == b"one"


def test_drafts_get_their_names_together_when_all_are_on_the_disk(tmp_path, monkeypatch):
    drafts = {tmp_path / f".{name}": tmp_path / name for name in "abc"}
    for draft in drafts:
        draft.write_text(draft.name)
    (tmp_path / "b").write_text("before")
    states, real = [], durable.sync
    monkeypatch.setattr(durable, "sync", lambda files: (states.append([file.exists() for file in drafts]), real(files)))
    durable.publish(drafts)
    assert states == [[True] * 3, [False] * 3]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": ".a", "b": ".b", "c": ".c"}


def refuse_links(*_):
    raise OSError(errno.EPERM, "no links")


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("links", [True, False])
def test_a_private_file_is_readable_by_its_owner_alone(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(durable.os, "link", refuse_links)
    file = tmp_path / "key"
    assert durable.create(file, b"secret", private=True)
    assert not durable.create(file, b"another", private=True)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"secret", 0o600)
