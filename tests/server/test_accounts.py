"""Accounts: who is let in, who is not, and what a guesser learns."""

import json
import stat
import subprocess
import sys
import time
from datetime import datetime, timedelta

import pytest

from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError
from cbm_lake.server import accounts as module
from cbm_lake.server.accounts import Account, Accounts, LockedOutError

pytestmark = pytest.mark.thorough


@pytest.fixture
def accounts(tmp_path):
    found = Accounts(tmp_path / "config" / "users.json")
    found.add("Ann", "correct horse", ("MS", "nl"))
    return found


def test_who_gives_the_right_password_is_let_in_whatever_the_case_of_the_name(accounts):
    for name in ("ann", "ANN", " Ann "):
        assert accounts.check(name, "correct horse") == Account("ann", ("ms", "nl"), admin=False)


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "Correct horse"), ("ann", ""), ("bob", "correct horse"), ("", "")]
)
def test_who_does_not_is_not(accounts, name, password):
    assert accounts.check(name, password) is None


def test_an_account_reads_its_own_areas_and_an_administrator_all(accounts):
    ann = accounts.check("ann", "correct horse")
    assert (ann.may_read("ms"), ann.may_read("MS"), ann.may_read("be")) == (True, True, False)
    accounts.grant("ann", ("be",))
    assert accounts.check("ann", "correct horse").may_read("be")
    accounts.revoke("ann", ("ms",))
    assert accounts.check("ann", "correct horse").aois == ("be", "nl")
    accounts.grant("ann", (), admin=True)
    assert accounts.check("ann", "correct horse").may_read("anything")


def test_the_file_is_for_its_owner_and_holds_no_password(accounts):
    token = accounts.token("ann")
    text = accounts.file.read_text()
    assert stat.S_IMODE(accounts.file.stat().st_mode) == 0o600
    assert "correct horse" not in text
    assert token not in text
    assert json.loads(text)["ann"]["hash"].startswith("$argon2id$")


def test_a_removed_account_is_out_at_once_also_in_a_server_that_remembered_it(accounts):
    server = Accounts(accounts.file)
    token = accounts.token("ann")
    assert server.check("ann", "correct horse")
    assert server.check_token(token)
    accounts.remove("ann")
    assert server.check("ann", "correct horse") is None
    assert server.check_token(token) is None


def test_a_changed_password_ends_the_old_one_at_once(accounts):
    server = Accounts(accounts.file)
    assert server.check("ann", "correct horse")
    accounts.add("ann", "another horse", ("ms",))
    assert server.check("ann", "correct horse") is None
    assert server.check("ann", "another horse").aois == ("ms",)


def test_a_token_is_its_owners_until_it_expires_or_is_revoked(accounts, monkeypatch):
    token = accounts.token("ann", days=1)
    assert accounts.check_token(token).name == "ann"
    assert accounts.check_token(token[:-1]) is None
    assert accounts.check_token("") is None

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=1, seconds=1)

    monkeypatch.setattr(module, "datetime", Tomorrow)
    assert accounts.check_token(token) is None
    monkeypatch.undo()
    accounts.revoke("ann", ())
    assert accounts.check_token(token) is None


def test_after_too_many_wrong_passwords_an_address_is_refused_for_that_name_only(accounts, monkeypatch):
    monkeypatch.setattr(module, "_FAILURES", 3)
    for _ in range(3):
        assert accounts.check("ann", "wrong", "1.2.3.4") is None
    with pytest.raises(LockedOutError, match="too many wrong passwords; try again in") as caught:
        accounts.check("ann", "correct horse", "1.2.3.4")
    assert 0 < caught.value.seconds <= 900
    assert accounts.check("ann", "correct horse", "5.6.7.8")
    clock = time.monotonic() + 901
    monkeypatch.setattr(module.time, "monotonic", lambda: clock)
    assert accounts.check("ann", "correct horse", "1.2.3.4")


def test_an_unknown_name_is_locked_like_a_known_one(accounts, monkeypatch):
    monkeypatch.setattr(module, "_FAILURES", 2)
    for _ in range(2):
        assert accounts.check("nobody", "wrong", "1.2.3.4") is None
    with pytest.raises(LockedOutError):
        accounts.check("nobody", "wrong", "1.2.3.4")


def test_for_an_unknown_name_the_same_work_is_done_as_for_a_wrong_password(accounts, monkeypatch):
    work = []
    verified = module._verified
    monkeypatch.setattr(module, "_verified", lambda *given: work.append(given) or verified(*given))
    for name in ("ann", "nobody"):
        assert accounts.check(name, "wrong") is None
    (known, _), (unknown, _) = work
    assert known.split("$")[:4] == unknown.split("$")[:4]  # the same parameters of argon2


@pytest.mark.slow
def test_writers_at_once_lose_no_account(tmp_path):
    code = "import sys; from pathlib import Path; from cbm_lake.server.accounts import Accounts\n"
    code += "[Accounts(Path(sys.argv[1])).add(f'{sys.argv[2]}{n}', 'long enough', ('ms',)) for n in range(4)]"
    file = tmp_path / "users.json"
    started = [subprocess.Popen([sys.executable, "-c", code, str(file), name]) for name in "abc"]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert list(Accounts(file).users()) == [f"{name}{n}" for name in "abc" for n in range(4)]


def test_what_cannot_be_an_account_is_refused(accounts):
    with pytest.raises(InvalidInputError, match="too short"):
        accounts.add("bob", "short", ())
    for name in ("", "a:b", "a\nb"):
        with pytest.raises(InvalidInputError, match="cannot be a user's name"):
            accounts.add(name, "long enough", ())
    with pytest.raises(NotFoundError, match=r"no account 'bob'; there are: ann"):
        accounts.remove("bob")


def test_a_damaged_file_is_named_and_left_alone(accounts):
    accounts.file.write_text("{nope")
    with pytest.raises(ConfigError, match=r"users\.json cannot be read"):
        accounts.check("ann", "correct horse")
    with pytest.raises(ConfigError, match=r"users\.json cannot be read"):
        accounts.add("bob", "long enough", ())
    assert accounts.file.read_text() == "{nope"


def test_there_is_nobody_without_a_file(tmp_path):
    assert Accounts(tmp_path / "users.json").check("ann", "correct horse") is None
