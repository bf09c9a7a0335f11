"""What is locked up stays secret, and whole."""

import pytest

from gonets.adapters.crypto.vault import AesVault
from gonets.core.channels.ports import Unreadable

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
VAULT = AesVault({"new": NEW, "old": OLD})


@pytest.mark.parametrize("plain", ["", "1", "тайна", "x" * 10_000, '{"a": "b"}'])
def test_it_opens_what_it_sealed(plain):
    sealed = VAULT.seal(plain, "channel 1")
    assert VAULT.open(sealed, "channel 1") == plain


def test_what_is_sealed_does_not_show():
    assert "a-secret-word" not in VAULT.seal("a-secret-word", "channel 1")


def test_it_never_seals_twice_alike():
    assert len({VAULT.seal("same", "channel 1") for _ in range(100)}) == 100


def test_it_seals_with_the_newest_key_and_opens_with_any():
    old = AesVault({"old": OLD}).seal("secret", "channel 1")
    assert VAULT.open(old, "channel 1") == "secret"
    assert not VAULT.current(old)
    new = VAULT.seal("secret", "channel 1")
    assert VAULT.current(new)
    with pytest.raises(Unreadable, match="'new', which is not in SECRETS_KEYS"):
        AesVault({"old": OLD}).open(new, "channel 1")


def test_a_secret_does_not_open_as_another_s():
    with pytest.raises(Unreadable):
        VAULT.open(VAULT.seal("secret", "channel 1"), "channel 2")


def test_another_key_of_the_same_name_does_not_open_it():
    with pytest.raises(Unreadable):
        AesVault({"new": OLD}).open(VAULT.seal("secret", "channel 1"), "channel 1")


@pytest.mark.parametrize("place", range(4, 40))
def test_one_changed_character_is_seen(place):
    sealed = VAULT.seal("a secret of some length", "channel 1")
    changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
    with pytest.raises(Unreadable):
        VAULT.open(changed, "channel 1")


@pytest.mark.parametrize("nonsense", ["", "new", "new.", "new.AAAA", "new.!", "plain text", "new.ж"])
def test_nonsense_does_not_open(nonsense):
    with pytest.raises(Unreadable):
        VAULT.open(nonsense, "channel 1")
