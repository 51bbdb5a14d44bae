"""What holds for the project as a whole: it builds, it installs elsewhere, and its files say what they should."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import myoloop


@pytest.fixture(scope="session")
def committed(root: Path) -> list[Path]:
    """Every file of a checkout that belongs to the project, relative to its root.

    What git knows of or would take; in an unpacked source archive, everything that is no product of a tool.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return sorted(Path(name) for name in listed.stdout.split("\0") if name and (root / name).is_file())
    products = {".venv", "build", "dist", "_build", "__pycache__"}
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path for path in paths if not products & set(path.parts) and ".egg-info" not in str(path))


@pytest.fixture(scope="session")
def requirements(root: Path) -> dict[str, list[Requirement]]:
    """Requirements by extra; the package's own under the empty name."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [Requirement(text) for text in texts] for extra, texts in lists.items()}


def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines)


def test_the_installed_version_is_the_packages_own() -> None:
    assert importlib.metadata.version("myoloop") == myoloop.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", myoloop.__version__)


def test_the_changelog_speaks_of_this_version(root: Path) -> None:
    assert f"## {myoloop.__version__}" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_licence_is_apache_2_whole(root: Path) -> None:
    text = (root / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "9. Accepting Warranty or Additional Liability." in text


def test_constraints_hold_names_and_versions_only(root: Path) -> None:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[A-Za-z0-9.+]+", line)] == []
    assert lines == sorted(set(lines))


def test_every_requirement_of_a_tested_extra_is_pinned_within_its_range(
    root: Path, requirements: dict[str, list[Requirement]]
) -> None:
    pinned = pins(root)
    for extra in ("", "lsl", "train", "test", "check", "docs"):
        for requirement in requirements[extra]:
            name = canonicalize_name(requirement.name)
            version = pinned.get(name, pinned.get(name.replace("-", ".")))
            assert version is not None, f"{extra or 'core'}: {requirement.name} has no line in constraints.txt"
            assert requirement.specifier.contains(version), f"{requirement} excludes the pinned {version}"


def test_commit_hooks_are_local(root: Path) -> None:
    text = (root / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo:\s*(\S+)", text) == ["local"]


# Put together here so that this file does not name them either.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("anaconda", "org"),
        ("crates", "io"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("proxy", "golang", "org"),
    )
)
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:work|root|home|Users|tmp/tmp)/[\w.-]")


def test_no_file_names_a_registry_host_or_a_path_of_one_machine(root: Path, committed: list[Path]) -> None:
    found = []
    for path in committed:
        content = (root / path).read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
            if any(host in line for host in REGISTRY_HOSTS) or MACHINE_PATH.search(line):
                found.append(f"{path}:{number}: {line.strip()[:100]}")
    assert found == []


@pytest.mark.parametrize("text", ["/" + "work/main", '"/' + "root/.cache", "(/" + "home/someone/x"])
def test_a_machine_path_would_be_found(text: str) -> None:
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "text", ["~/" + "work/x", "the emg/" + "work/ rest", "https://host/" + "home/page", "./root/x"]
)
def test_what_only_looks_like_a_machine_path_is_left_alone(text: str) -> None:
    assert not MACHINE_PATH.search(text)


def test_no_file_or_folder_has_a_name_that_says_nothing(committed: list[Path]) -> None:
    says_nothing = {"utils", "util", "helpers", "helper", "misc", "common", "manager"}
    assert [path for path in committed if says_nothing & {Path(part).stem for part in path.parts}] == []


def test_no_product_of_a_tool_or_recording_is_committed(committed: list[Path]) -> None:
    products = {".pyc", ".so", ".mcap", ".part", ".h5", ".whl"}
    assert [path for path in committed if path.suffix in products or "__pycache__" in path.parts] == []


def test_every_public_module_says_what_it_is(root: Path, committed: list[Path]) -> None:
    modules = [path for path in committed if path.parts[0] == "myoloop" and path.suffix == ".py"]
    assert len(modules) > 20
    silent = [path for path in modules if not ast.get_docstring(ast.parse((root / path).read_text(encoding="utf-8")))]
    assert silent == []


# -- built and installed elsewhere ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archives(root: Path, committed: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheel and sdist, built from the project's own files alone, in a folder whose path has a space."""
    source = tmp_path_factory.mktemp("clean clone")
    for path in committed:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, source / path)
    run(sys.executable, "-m", "build", *builder(), cwd=source)
    (wheel,), (sdist,) = source.glob("dist/*.whl"), source.glob("dist/*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


def uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def builder() -> list[str]:
    found = uv()
    return ["--installer", "uv"] if found else []


def run(*command: str, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    found = uv()
    if found:
        environment["PATH"] = os.pathsep.join((str(Path(found).parent), environment.get("PATH", "")))
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.processes
@pytest.mark.timeout(300)
def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(
    archives: dict[str, Path], committed: list[Path]
) -> None:
    with zipfile.ZipFile(archives["wheel"]) as wheel:
        names = {Path(name) for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = next(wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA"))
        licences = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
    assert names == {path for path in committed if path.parts[0] == "myoloop"}
    assert "License-Expression: Apache-2.0" in metadata
    assert len(licences) == 1


@pytest.mark.processes
@pytest.mark.timeout(300)
def test_the_sdist_holds_what_a_build_needs(archives: dict[str, Path], committed: list[Path]) -> None:
    with tarfile.open(archives["sdist"]) as sdist:
        names = {Path(*Path(name).parts[1:]) for name in sdist.getnames()}
    needed = {path for path in committed if path.parts[0] == "myoloop"}
    assert needed | {Path("pyproject.toml"), Path("LICENSE"), Path("README.md")} <= names


@pytest.mark.processes
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["wheel", pytest.param("sdist", marks=pytest.mark.prove)])
def test_it_installs_into_a_clean_environment_and_runs(
    kind: str, archives: dict[str, Path], root: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "clean"
    run(sys.executable, "-m", "venv", *(["--without-pip"] if uv() else []), str(environment), cwd=tmp_path)
    python = str(environment / "bin" / "python")
    found = uv()
    installer = [found, "pip", "install", "--python", python] if found else [python, "-m", "pip", "install"]
    run(*installer, "-c", str(root / "constraints.txt"), str(archives[kind]), cwd=tmp_path)
    where = run(python, "-P", "-c", "import myoloop; print(myoloop.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment)
    assert "Usage" in run(str(environment / "bin" / "myoloop"), "--help", cwd=tmp_path)
    assert "Usage" in run(python, "-P", "-m", "myoloop", "--help", cwd=tmp_path)


# -- the gate's coverage counts what no test imports ------------------------------------------------------------------


@pytest.mark.processes
def test_a_module_that_no_test_imports_counts_as_not_covered(tmp_path: Path) -> None:
    """With the very options of `make gate-coverage`, on a package with one module that nobody imports."""
    package = tmp_path / "source" / "fortress"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A package."""\n')
    (package / "wall.py").write_text("def stands(high):\n    return high > 1\n")
    test = tmp_path / "test_wall.py"
    test.write_text("from fortress.wall import stands\n\ndef test_stands():\n    assert stands(2)\n")

    assert covered(tmp_path, "fortress").returncode == 0
    (package / "forgotten.py").write_text("def gate(open):\n    return not open\n")
    after = covered(tmp_path, "fortress")
    assert after.returncode != 0
    assert re.search(r"forgotten\.py\s.*\s0%", after.stdout)


def covered(folder: Path, package: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "PYTEST_"))}
    environment["PYTHONPATH"] = str(folder / "source")
    options = ["-p", "no:cacheprovider", f"--cov={package}", "--cov-branch", "--cov-fail-under=100"]
    report = "--cov-report=term-missing:skip-covered"
    command = [sys.executable, "-m", "pytest", "--import-mode=importlib", *options, report, "test_wall.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_make_measures_the_gate_with_those_options(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    for option in ("--cov=myoloop.stimulators.gate", "--cov-branch", "--cov-fail-under=100"):
        assert option in makefile
