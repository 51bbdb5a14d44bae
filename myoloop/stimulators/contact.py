"""How a driver stands with its device: connected or lost, who it is, and what was found wrong since it was last asked.

The same for every driver: a port is lost once, and stays lost until the driver is opened again; what is wrong is told
once by the next report, each thing once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from myoloop.platform.messages import ChannelSetting, DeviceReport
from myoloop.stimulators.driver import Driver, DriverError


class Contact:
    """A driver's contact with its device.

    Parameters
    ----------
    name
        The device, as the operator is told of it.

    Attributes
    ----------
    connected
        It was opened, and was not lost or closed since.
    identity
        Who it said it is.
    faults
        What is told by the next report.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.connected = False
        self.identity = ""
        self.faults: list[str] = []

    @contextmanager
    def opening(self, close: Callable[[], None]) -> Iterator[None]:
        """While the device is opened: where that fails, `close` is called and the operator is told why.

        Raises
        ------
        DriverError
            In place of an OSError, or as it was.
        """
        try:
            yield
        except OSError as error:
            close()
            raise DriverError(f"{self.name}: {error}") from None
        except DriverError:
            close()
            raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While the gate's bytes are written: where that fails, the port is lost.

        Raises
        ------
        DriverError
            In place of an OSError.
        """
        try:
            yield
        except OSError as error:
            self.lose(error)
            raise DriverError(f"{self.name}: {error}") from None

    @contextmanager
    def trying(self) -> Iterator[None]:
        """While anything else is written or read: where that fails, the port is lost, and the rest is left out."""
        try:
            yield
        except OSError as error:
            self.lose(error)

    def lose(self, error: OSError) -> None:
        """Say that the port is gone; nothing where it was before."""
        if self.connected:
            self.faults.append(f"port lost: {error}")
        self.connected = False

    def report(
        self,
        now_ns: int,
        *,
        acknowledged: tuple[ChannelSetting, ...],
        ack_of: int,
        sent: int,
        oldest_unacknowledged_ns: int | None,
    ) -> DeviceReport:
        """What :meth:`~myoloop.stimulators.driver.Driver.poll` tells; the faults are told by that."""
        told = DeviceReport(
            t_ns=now_ns,
            connected=self.connected,
            identity=self.identity,
            acknowledged=acknowledged,
            ack_of=ack_of,
            sent=sent,
            oldest_unacknowledged_ns=oldest_unacknowledged_ns,
            faults=tuple(dict.fromkeys(self.faults)),
        )
        self.faults.clear()
        return told


def opens(driver: Driver) -> bool:
    """Whether a driver finds its device; which is stopped by that, and let go of."""
    try:
        driver.open()
    except DriverError:
        return False
    driver.close()
    return True
