"""Parts by name: ours, those that other packages announce, and one clear line for each that will not do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest

from myoloop.platform.plugins import PluginError, find_plugin, plugin_names, plugin_settings, plugin_sha256

GROUP = "myoloop.policies"
OURS = {"open_loop": "myoloop.controllers.policies.open_loop:OpenLoop"}
GENTLE = """
from dataclasses import dataclass

@dataclass(frozen=True)
class GentleSettings:
    least: float = 0.3

class Gentle:
    Settings = GentleSettings

class Bare:
    pass
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install, for a test, a package with one module and the parts it announces."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, parts: str, text: str = GENTLE, group: str = GROUP):
        (tmp_path / f"{name}.py").write_text(text)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{parts}\n")
        return tmp_path / f"{name}.py"

    return install


def test_our_own_are_found_without_entry_points():
    assert find_plugin("myoloop.no_such_group", OURS, "open_loop").__name__ == "OpenLoop"
    assert plugin_names("myoloop.no_such_group", OURS) == ("open_loop",)


def test_another_packages_part_is_found_by_the_name_it_announces(package):
    package("lab_gentle", "gentle_lab = lab_gentle:Gentle")
    assert find_plugin(GROUP, OURS, "gentle_lab").__name__ == "Gentle"
    assert {"gentle_lab", "open_loop"} <= set(plugin_names(GROUP, OURS))


def test_nobody_takes_a_name_of_ours(package):
    package("lab_taker", "open_loop = lab_taker:Gentle")
    assert find_plugin(GROUP, OURS, "open_loop").__name__ == "OpenLoop"


def test_two_packages_that_claim_one_name_are_both_named(package):
    package("lab_one", "twice_lab = lab_one:Gentle")
    package("lab_two", "twice_lab = lab_two:Gentle")
    with pytest.raises(PluginError, match="policy 'twice_lab' is claimed by lab_one:Gentle and lab_two:Gentle"):
        find_plugin(GROUP, OURS, "twice_lab")


def test_a_name_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(
        PluginError, match=r"there is no policy 'open_lop' \(did you mean open_loop\?\); installed: .*open_loop"
    ):
        find_plugin(GROUP, OURS, "open_lop")


@pytest.mark.parametrize(
    ("target", "text", "why"),
    [
        ("lab_broken:Gentle", "raise NameError('least')", "NameError: least"),
        ("lab_broken:Gentle", "def (", "SyntaxError"),
        ("lab_broken:Gentle", "import no_such_module_at_all", "no_such_module_at_all"),
        ("lab_broken:Gentler", GENTLE, "Gentler"),
        ("lab_broken:Bare", GENTLE, "no dataclass Settings"),
    ],
)
def test_a_part_that_cannot_be_loaded_is_one_clear_line(package, target, text, why):
    package("lab_broken", f"broken_lab = {target}", text)
    with pytest.raises(PluginError, match=why) as caught:
        find_plugin(GROUP, OURS, "broken_lab")
    assert "policy 'broken_lab' (lab_broken:" in str(caught.value)


class TestSettings:
    @dataclass(frozen=True)
    class Part:
        @dataclass(frozen=True)
        class Settings:
            muscle: str
            least: float = 0.3

            def __post_init__(self):
                if not 0 <= self.least <= 1:
                    raise ValueError(f"least: found {self.least}, allowed is 0 to 1")

    def test_plain_values_become_the_parts_own_settings(self):
        made = plugin_settings("policy 'x'", self.Part, {"muscle": "ext", "least": 1})
        assert made == self.Part.Settings("ext", 1.0)
        assert isinstance(made.least, float)

    @pytest.mark.parametrize(
        ("values", "says"),
        [
            (
                {"muscle": "ext", "lest": 1},
                r"settings\.lest: unknown key \(did you mean least\?\), allowed: muscle, least",
            ),
            ({}, r"settings: .*missing required field `muscle`"),
            ({"muscle": 3}, r"settings\.muscle: expected `str`, got `int`"),
            ({"muscle": "ext", "least": "much"}, r"settings\.least: expected `float`, got `str`"),
            ({"muscle": "ext", "least": 7}, r"settings: least: found 7.*, allowed is 0 to 1"),
        ],
    )
    def test_each_mistake_is_one_line_that_names_key_and_kind(self, values, says):
        with pytest.raises(PluginError, match=f"^policy 'x': {says}") as caught:
            plugin_settings("policy 'x'", self.Part, values)
        assert "\n" not in str(caught.value)

    def test_a_mistake_can_be_told_without_the_part_by_who_knows_its_place(self):
        with pytest.raises(PluginError) as caught:
            plugin_settings("policy 'x'", self.Part, {"muscle": 3})
        assert (caught.value.key, caught.value.problem) == ("settings.muscle", "expected `str`, got `int`")
        with pytest.raises(PluginError) as caught:
            find_plugin(GROUP, OURS, "open_lop")
        assert (caught.value.key, caught.value.problem) == ("", str(caught.value))


def test_the_record_can_name_the_very_file_a_part_stands_in(package):
    file = package("lab_hashed", "hashed_lab = lab_hashed:Gentle")
    part = find_plugin(GROUP, OURS, "hashed_lab")
    assert plugin_sha256(part) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_class_without_a_file_has_no_hash():
    assert plugin_sha256(int) == ""
