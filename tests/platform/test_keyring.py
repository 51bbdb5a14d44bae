"""The list of keys: private, one key and role a node, as it stands at this moment."""

from __future__ import annotations

import json
import stat

import pytest

from myoloop.platform.keyring import FILE, Keyring, make_keys


def without(folder, node):
    """What revoking a key does: a new list without it."""
    entries = json.loads((folder / FILE).read_text())
    part = folder / "other.part"
    part.write_text(json.dumps([entry for entry in entries if entry["node"] != node]))
    part.replace(folder / FILE)


@pytest.fixture
def keyring(tmp_path):
    make_keys(tmp_path, {"amp": "acquisition", "ctl": "controller"})
    return Keyring(tmp_path)


def test_the_list_is_readable_by_this_user_alone(keyring, tmp_path):
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_each_node_has_a_key_and_a_role_of_its_own(keyring):
    amp, ctl = keyring.key("amp"), keyring.key("ctl")
    assert (amp.role, ctl.role) == ("acquisition", "controller")
    assert len({amp.public, amp.secret, ctl.public, ctl.secret}) == 4


def test_a_public_key_tells_whose_it_is(keyring):
    assert keyring.owner(keyring.key("amp").public).node == "amp"
    assert keyring.owner(keyring.key("amp").secret) is None
    assert keyring.owner(b"x" * 40) is None


def test_only_who_is_in_the_list_may_connect(keyring):
    assert keyring.callback("", keyring.key("amp").public)
    assert not keyring.callback("", b"x" * 40)


def test_a_node_that_is_not_in_the_list_has_no_key_and_no_role(keyring):
    assert keyring.role("nobody") is None
    with pytest.raises(KeyError):
        keyring.key("nobody")


def test_a_key_that_was_taken_off_the_list_is_nobodys_from_then_on(keyring, tmp_path):
    public = keyring.key("ctl").public
    without(tmp_path, "ctl")
    assert keyring.owner(public) is None
    assert keyring.role("ctl") is None
    assert keyring.role("amp") == "acquisition"


def test_every_new_list_is_seen_however_soon_it_follows(keyring, tmp_path):
    for _ in range(200):
        make_keys(tmp_path, {"amp": "acquisition"})
        assert keyring.key("amp") == Keyring(tmp_path).key("amp")


def test_without_a_list_nobody_is_anybody(keyring, tmp_path):
    public = keyring.key("amp").public
    (tmp_path / FILE).unlink()
    assert keyring.owner(public) is None
    assert keyring.role("amp") is None
