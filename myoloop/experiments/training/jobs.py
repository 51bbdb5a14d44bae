"""Many pieces of work that know nothing of one another: here, on the cores of this machine, or on a Dask cluster.

Everything that a piece of work depends on stands in its item, seeds included, so that its result does not depend on
where, when or beside what it is done. Each result is kept in a file as it comes, under a name made of the item and of
the code; work that was interrupted goes on from there.

A Dask cluster runs what it is sent: whoever reaches its port can run code on it. Keep it behind a firewall of its own.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import myoloop
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file

#: JSON-ready; a result may also have arrays at its top level.
Item = Mapping[str, Any]
Result = dict[str, Any]
Work = Callable[[Item], Result]
Say = Callable[[str], None]

_REST = "json"
_CONNECT_S = 10.0
#: What a result depends on besides its item.
_CODE = (
    "experiments/training",
    "experiments/subjects",
    "experiments/protocols",
    "controllers",
    "stimulators",
    "platform",
)
#: And on these of others.
_COMPUTE = ("numpy", "scipy", "scikit-learn")


class ClusterError(UserError):
    """A cluster that is not there, or lost its workers."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """Where work is done.

    Attributes
    ----------
    workers
        Processes on this machine; 1: in this one.
    cluster
        Address of a Dask scheduler, such as ``tcp://host:8786``, instead; empty: none.
    folder
        For the results as they come; None: nothing is kept.
    say
        Hears a line about the progress after each.
    """

    workers: int = 1
    cluster: str = ""
    folder: Path | None = None
    say: Say = lambda line: None

    def run(self, what: str, work: Work, items: Sequence[Item]) -> list[Result]:
        """Do `work` on each item; the results in the order of the items.

        Parameters
        ----------
        what
            The items' name in progress and file names, such as ``people``.
        work
            A function of a module that the workers can import: item to result.

        Raises
        ------
        ClusterError
            If the cluster cannot be reached, or fails.
        UserError
            If Dask is not installed.
        """
        keys = [item_key(work, item) for item in items]
        results: list[Result | None] = [self._kept(what, key) for key in keys]
        left = [number for number, result in enumerate(results) if result is None]
        kept = len(items) - len(left)
        if kept:
            self.say(f"{what}: {kept} of {len(items)} kept from before")
        began = time.monotonic()
        for done, (number, result) in enumerate(self._results(work, [(n, items[n]) for n in left]), start=1):
            results[number] = result
            self._keep(what, keys[number], result)
            spent = time.monotonic() - began
            self.say(progress_line(what, kept + done, len(items), spent, spent / done * (len(left) - done)))
        return [result for result in results if result is not None]

    def _results(self, work: Work, numbered: list[tuple[int, Item]]) -> Iterator[tuple[int, Result]]:
        if not numbered:
            return iter(())
        one = functools.partial(_one, work)
        if self.cluster:
            return _on_cluster(self.cluster, one, numbered)
        if self.workers <= 1 or len(numbered) == 1:
            return (one(each) for each in numbered)
        from joblib import Parallel, delayed

        parallel = Parallel(n_jobs=self.workers, return_as="generator_unordered")
        found: Iterator[tuple[int, Result]] = parallel(delayed(one)(each) for each in numbered)
        return found

    def _path(self, what: str, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{what.replace(' ', '_')}-{key[:32]}.npz"

    def _kept(self, what: str, key: str) -> Result | None:
        path = self._path(what, key)
        if path is None or not path.is_file():
            return None
        try:
            return read_result(path.read_bytes())
        except ValueError:
            return None  # a torn file is work to be done again

    def _keep(self, what: str, key: str, result: Result) -> None:
        path = self._path(what, key)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, write_result(result))


def progress_line(what: str, done: int, of: int, spent_s: float, left_s: float) -> str:
    """How far it is, and how long it takes yet."""
    left = f", {_duration(left_s)} left" if done < of else ""
    return f"{what}: {done} of {of}, {_duration(spent_s)}{left}"


def item_key(work: Work, item: Item) -> str:
    """Name of a result: hash of the work, of its item, and of the code that both depend on."""
    function: Any = work
    told = {
        "work": f"{function.__module__}:{function.__qualname__}",
        "item": item,
        "code": code_sha256(),
        "numpy": np.__version__,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, allow_nan=False).encode()).hexdigest()


@functools.cache
def code_sha256(parts: tuple[str, ...] = _CODE) -> str:
    """Hash of some folders and files of the package; by default of the code that simulates, controls and learns.

    Versions of the libraries that compute are in it: another one may round otherwise.
    """
    root = Path(myoloop.__file__).parent
    computing = [f"{name} {version(name)}" for name in _COMPUTE]
    found = hashlib.sha256(" ".join([myoloop.__version__, *computing]).encode())
    for part in parts:
        for path in sorted({root / part, *(root / part).rglob("*")}):
            if path.suffix in (".py", ".yaml") and path.is_file():
                found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def write_result(result: Result) -> bytes:
    """Arrays and JSON of a result, as the bytes of a zip of NumPy arrays; the same result, the same bytes."""
    arrays = {name: value for name, value in result.items() if isinstance(value, np.ndarray)}
    if _REST in arrays or any(array.dtype.hasobject for array in arrays.values()):
        raise ValueError(f"a result has no array {_REST!r}, and none of objects")
    rest = json.dumps({name: value for name, value in result.items() if name not in arrays})
    return write_arrays({**arrays, _REST: np.frombuffer(rest.encode(), dtype=np.uint8)})


def read_result(content: bytes) -> Result:
    """Read what :func:`write_result` wrote.

    Raises
    ------
    ValueError
        If it is nothing of the kind.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        rest = json.loads(arrays.pop(_REST).tobytes())
    except Exception as error:  # noqa: BLE001 - a damaged zip fails in as many ways as it can be damaged
        raise ValueError(f"not a result: {error}") from None
    return {**rest, **arrays}


def write_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """What :func:`numpy.load` reads, without the time of writing: the same arrays, the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            # ZipInfo without a time is of 1980.
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED, 1)
    return out.getvalue()


def _one(work: Work, numbered: tuple[int, Item]) -> tuple[int, Result]:
    # Threads of linear algebra add up in another order.
    from threadpoolctl import threadpool_limits

    number, item = numbered
    with threadpool_limits(1):
        return number, work(item)


def _on_cluster(
    address: str, one: Callable[[tuple[int, Item]], tuple[int, Result]], numbered: list[tuple[int, Item]]
) -> Iterator[tuple[int, Result]]:
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise UserError("--cluster needs Dask: install myoloop[cluster]") from None
    try:
        client = Client(address, timeout=f"{_CONNECT_S:g}s")
    except (OSError, ValueError) as error:
        raise ClusterError(f"--cluster: no Dask scheduler at {address} ({error})") from None
    with client:
        if not client.scheduler_info(n_workers=1)["workers"]:
            raise ClusterError(f"--cluster: the Dask scheduler at {address} has no workers")
        # Not pure: two runs of the same work are two runs.
        futures = client.map(one, numbered, pure=False)
        for future in as_completed(futures):
            found: tuple[int, Result] = future.result()
            yield found


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02d} s"
