"""Keys of JWTs: a file that changes while the program runs."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from util.errors import SettingsError
from util.json_web_tokens import InvalidToken, KeyRing, TokenVerifier

OLD, NEW, SHARED = "o" * 64, "n" * 64, "s" * 64
LONG_AGO = 1_700_000_000


def entry(kid: str, secret: str) -> dict[str, str]:
    """A key as an entry of a JWKS."""
    encoded = jwt.utils.base64url_encode(secret.encode()).decode()
    return {"kid": kid, "kty": "oct", "alg": "HS256", "k": encoded}


def document(*entries: dict[str, str]) -> str:
    """A JWKS with these keys."""
    return json.dumps({"keys": entries})


BOTH = document(entry("old", OLD), entry("new", NEW))
OLD_ONLY, NEW_ONLY = document(entry("old", OLD)), document(entry("new", NEW))


def token(secret: str, kid: str | None = None) -> bytes:
    """A JWT that ends in a minute."""
    claims = {"sub": "u1", "exp": int(time.time()) + 60}
    headers = {"kid": kid} if kid else None
    return jwt.encode(claims, secret, "HS256", headers=headers).encode()


class Keys:
    """A file of keys that tests replace, and what is verified by it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.write_text(OLD_ONLY)
        self.verifier = TokenVerifier(KeyRing(None, file))

    def accepts(self, secret: str, kid: str | None) -> bool:
        """True if a token by this key is valid."""
        try:
            self.verifier.claims(token(secret, kid))
        except InvalidToken:
            return False
        return True

    @property
    def accepted(self) -> tuple[bool, bool]:
        """Whether tokens by the old and by the new key are valid."""
        return self.accepts(OLD, "old"), self.accepts(NEW, "new")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """The old key alone."""
    return Keys(tmp_path / "jwks.json")


@pytest.fixture
def reports(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """The errors that were logged."""
    with caplog.at_level(logging.INFO, logger="fpp"):
        yield lambda: [
            record.getMessage()
            for record in caplog.records
            if record.levelno >= logging.ERROR
        ]


def rename(file: Path, text: str) -> None:
    """Replace a file at once."""
    other = file.with_suffix(".new")
    other.write_text(text)
    other.replace(file)


def overwrite(file: Path, text: str) -> None:
    """Write into the same file."""
    file.write_text(text)


def age(file: Path, text: str) -> None:
    """Replace a file by one that has the time of the first one, long ago."""
    os.utime(file, (LONG_AGO, LONG_AGO))
    rename(file, text)
    os.utime(file, (LONG_AGO, LONG_AGO))


@pytest.mark.parametrize("replace", [rename, overwrite, age])
def test_keys_change_without_a_gap_and_without_a_restart(
    keys: Keys, replace: Callable[[Path, str], None]
) -> None:
    """Each counts from the moment it is in the file until it is taken out."""
    assert keys.accepted == (True, False)
    for content, accepted in (
        (BOTH, (True, True)),
        (NEW_ONLY, (False, True)),
        (OLD_ONLY, (True, False)),
        (NEW_ONLY, (False, True)),
    ):
        replace(keys.file, content)
        assert keys.accepted == accepted


def test_a_link_to_another_file_is_followed(tmp_path: Path) -> None:
    """As Kubernetes replaces the files of a secret: by another link to a folder."""
    for name, text in (("1", OLD_ONLY), ("2", NEW_ONLY)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jwks.json").write_text(text)
        os.utime(tmp_path / name / "jwks.json", (LONG_AGO, LONG_AGO))
    (tmp_path / "current").symlink_to("1")
    ring = KeyRing(None, tmp_path / "current" / "jwks.json")
    assert "old" in ring.current()
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(tmp_path / "current")
    assert "new" in ring.current()
    assert "old" not in ring.current()


BROKEN: dict[str, str | None] = {
    "empty": "",
    "cut": BOTH[:-20],
    "no JSON": "not JSON",
    "no object": "[]",
    "no keys": "{}",
    "null": '{"keys": null}',
    "no kid": '{"keys": [{"kty": "oct", "k": "AAAA"}]}',
    "unknown type": '{"keys": [{"kid": "a", "kty": "x"}]}',
    "one of two": json.dumps({"keys": [entry("new", NEW), {"kid": "b", "kty": "RSA"}]}),
    "weak secret": document(entry("new", "n" * 31)),
    "nested": "[" * 100_000,
    "no UTF-8": "\udcff",
    "gone": None,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_keeps_the_last_keys_and_is_reported(
    keys: Keys, content: str | None, reports: Callable[[], list[str]]
) -> None:
    """Once; and the next good file counts at once."""
    rename(keys.file, BOTH)
    assert keys.accepted == (True, True)
    if content is None:
        keys.file.unlink()
    else:
        keys.file.write_bytes(content.encode(errors="surrogateescape"))
    for _ in range(3):
        assert keys.accepted == (True, True)
    (report,) = reports()
    assert "The last keys stay in use: JWT_JWKS_FILE" in report
    assert NEW not in report
    rename(keys.file, NEW_ONLY)
    assert keys.accepted == (False, True)
    keys.file.write_text("broken again")
    assert keys.accepted == (False, True)
    assert len(reports()) == 2


def test_a_file_that_is_emptied_of_keys_refuses_all(keys: Keys) -> None:
    """That is no fault: whoever lost a key takes it out."""
    keys.file.write_text('{"keys": []}')
    assert keys.accepted == (False, False)
    assert not keys.accepts(OLD, None)


def test_the_secret_stays_valid_beside_the_file(tmp_path: Path) -> None:
    """For tokens that name no key of the file."""
    file = tmp_path / "jwks.json"
    file.write_text(OLD_ONLY)
    verifier = TokenVerifier(KeyRing(SHARED, file))
    rename(file, NEW_ONLY)
    for sent in (token(SHARED), token(NEW, "new")):
        assert verifier.claims(sent)["sub"] == "u1"
    with pytest.raises(InvalidToken):
        verifier.claims(token(OLD, "old"))


def test_an_unchanged_file_is_not_read_again(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time and size are looked at with each token, its content is not."""
    os.utime(keys.file, (LONG_AGO, LONG_AGO))
    assert keys.accepted == (True, False)

    def refuse(_: Any) -> bytes:
        raise AssertionError("the file was read")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert keys.accepted == (True, False)


def test_a_change_within_the_same_instant_is_noticed(keys: Keys) -> None:
    """File systems know the time of a change to some milliseconds only."""
    now = time.time_ns()
    for text, accepted in ((OLD_ONLY, (True, False)), (NEW_ONLY, (False, True))):
        keys.file.write_text(text)
        os.utime(keys.file, ns=(now, now))
        assert keys.accepted == accepted


def test_a_broken_file_is_an_error_at_start(tmp_path: Path) -> None:
    """There are no last keys."""
    file = tmp_path / "jwks.json"
    for content in filter(None, BROKEN.values()):
        file.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(SettingsError, match="JWT_JWKS_FILE"):
            KeyRing(None, file)
