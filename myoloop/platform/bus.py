"""The sockets of one node: publish, subscribe, command, record, stop.

Every node binds its own PUB (what it says) and ROUTER (what it is told); the recorder binds PULL, and every node
pushes each recorded message to it without waiting, because PUB drops silently when a subscriber is slow. The
stimulator's stop socket is a plain datagram socket, so that anything with the standard library can reach it. All
ZeroMQ traffic is CURVE; a key that is not in the list gets silence.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil

import zmq
from zmq.auth.thread import ThreadAuthenticator

from myoloop.platform import wire
from myoloop.platform.keyring import Keyring
from myoloop.platform.messages import Answer, Command, Stop
from myoloop.platform.runtime import RuntimeFolder
from myoloop.platform.steps import Outgoing, Received
from myoloop.platform.streams import stream_of

#: Messages that may wait for the recorder. At 1000 a second this is a minute; then it is a fault, not a wait.
RECORD_QUEUE = 60_000
#: Messages that a node may say before it knows who records.
EARLY = 10_000
#: Messages that may wait for a slow subscriber before PUB drops them (and the subscriber counts a gap).
PUBLISH_QUEUE = 2_000
#: Messages that may wait for this node to hear them; what does not fit is counted as a gap by its number.
HEAR_QUEUE = 10_000
#: Messages that are fetched at once. Whoever talks without end keeps nobody from hearing a stop: the rest is fetched
#: after the stops and the turn that came before it.
AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as it came to this node, with the way back to who sent it."""

    received: Received
    route: bytes


@dataclass(frozen=True, slots=True)
class _Held:
    """Frames that wait for the end of a turn, and the roads they will take."""

    frames: list[bytes]
    publish: bool
    record: bool
    urgent: bool


class Bus:
    """All sockets of one node.

    Parameters
    ----------
    runtime
        Where the sockets are.
    node
        Own name; its key must be in the runtime folder's list.
    session
        Session id that goes into every head.
    recorder
        Name of the node that records, or None (the recorder itself, or nothing records).

    Raises
    ------
    RuntimeFolderError
        If another process is that node already.
    """

    def __init__(self, runtime: RuntimeFolder, node: str, *, session: str, recorder: str | None = None) -> None:
        self.node = node
        self.session = session
        self.epoch = time.monotonic_ns() // 1_000_000
        self.record_queue_full = 0
        self.refused = 0
        self._runtime = runtime
        self._keys = Keyring(runtime.path)
        self._own = self._keys.key(node)
        self._claim = runtime.claim(node)
        self._seq: dict[str, int] = {}
        self._context = zmq.Context()
        self._context.linger = 0
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback(domain="*", credentials_provider=self._keys)
        self._publish = self._server(zmq.PUB, "pub")
        self._publish.sndhwm = PUBLISH_QUEUE
        self._commands = self._server(zmq.ROUTER, "cmd")
        self._subscribe = self._client(zmq.SUB)
        self._subscribe.rcvhwm = HEAR_QUEUE
        self._topics: frozenset[bytes] = frozenset()
        self._everything = False
        self._dealers: dict[str, zmq.Socket[bytes]] = {}
        self._pull: zmq.Socket[bytes] | None = None
        self._push: zmq.Socket[bytes] | None = None
        self._stop: socket.socket | None = None
        self._record_here: Callable[[list[bytes]], None] | None = None
        self._early: deque[list[bytes]] = deque(maxlen=EARLY)
        self._held: list[_Held] | None = None
        if recorder is not None:
            self.record_to(recorder)
        self._poller = zmq.Poller()
        self._poller.register(self._subscribe, zmq.POLLIN)
        self._poller.register(self._commands, zmq.POLLIN)

    # -- saying ------------------------------------------------------------------------------------------------

    def publish(self, outgoing: Outgoing) -> list[bytes]:
        """Say something: to subscribers, and to the recorder if the table says so. Returns the frames."""
        row = stream_of(outgoing.topic)
        frames = self._encode(outgoing)
        published = row.road == "publish"
        if self._held is not None:
            self._held.append(_Held(frames, published, row.recorded, row.urgent))
            return frames
        if published:
            _send(self._publish, frames)
        if row.recorded:
            self.record(frames)
        return frames

    def hold(self) -> None:
        """Keep what is said from now on until :meth:`release`: it is numbered and encoded, and not yet sent.

        The first send after a pause wakes a thread, which costs as much as a dozen sends do that follow it at once;
        and what somebody waits for can then go before what is only to be kept.
        """
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Send all that was held: the urgent first, then the rest, then everything to the recorder as it was said."""
        held, self._held = self._held or [], None
        for urgent in (True, False):
            for each in held:
                if each.publish and each.urgent is urgent:
                    _send(self._publish, each.frames)
        for each in held:
            if each.record:
                self.record(each.frames)

    def record(self, frames: list[bytes]) -> None:
        """Hand frames to the recorder without waiting; a full queue is counted and is a fault of the session."""
        if self._held is not None:
            self._held.append(_Held(frames, publish=False, record=True, urgent=False))
            return
        if self._record_here is not None:
            self._record_here(frames)
            return
        if self._push is None:
            self._early.append(frames)
            return
        try:
            _send(self._push, frames, zmq.NOBLOCK)
        except zmq.Again:
            self.record_queue_full += 1

    def ask(self, command: Command) -> None:
        """Send a command to its target; the answer comes with :meth:`answers`."""
        dealer = self._dealers.get(command.target)
        if dealer is None:
            dealer = self._client(zmq.DEALER)
            dealer.curve_serverkey = self._keys.key(command.target).public
            dealer.connect(self._runtime.endpoint(command.target, "cmd"))
            self._dealers[command.target] = dealer
            self._poller.register(dealer, zmq.POLLIN)
        dealer.send_multipart(self._encode(Outgoing("command", command)))

    def answer(self, route: bytes, answer: Answer) -> None:
        """Answer a command, and have the answer recorded."""
        frames = self._encode(Outgoing("answer", answer))
        self._commands.send_multipart([route, *frames])
        self.record(frames)

    # -- hearing -----------------------------------------------------------------------------------------------

    def subscribe(self, publishers: Iterable[str], topics: Iterable[str]) -> None:
        """Listen to exactly these topics of these nodes (and drop what merely begins like one)."""
        wanted = [topic.encode("ascii") for topic in topics]
        for topic in wanted:
            stream_of(topic.decode("ascii"))
            self._subscribe.setsockopt(zmq.SUBSCRIBE, topic)
        self._topics |= frozenset(wanted)
        for publisher in publishers:
            self._subscribe.curve_serverkey = self._keys.key(publisher).public
            self._subscribe.connect(self._runtime.endpoint(publisher, "pub"))

    def overhear(self, publishers: Iterable[str]) -> None:
        """Listen to everything that these nodes publish: for ``myoloop top``, never in the loop."""
        self._everything = True
        self._subscribe.setsockopt(zmq.SUBSCRIBE, b"")
        self.subscribe(publishers, ())

    def wait(self, timeout_s: float, also: Iterable[int] = ()) -> set[int]:
        """Sleep until something has come or the time is over.

        Parameters
        ----------
        also
            File descriptors that end the sleep too.

        Returns
        -------
        set of int
            Which of those are ready.
        """
        extra = list(also)
        for fd in extra:
            self._poller.register(fd, zmq.POLLIN)
        try:
            # Rounded up: waking under a millisecond late is better than turning idle rounds before a deadline.
            ready = self._poller.poll(max(0, ceil(timeout_s * 1e3)))
        finally:
            for fd in extra:
                self._poller.unregister(fd)
        return {fd for fd, _ in ready if isinstance(fd, int)} & set(extra)

    def heard(self) -> list[Received]:
        """What subscriptions have brought since last asked, of those who may say it; at most so much at once."""
        arrived: list[Received] = []
        for _ in range(AT_ONCE):
            try:
                frames = self._subscribe.recv_multipart(flags=zmq.NOBLOCK)
            except zmq.Again:
                break
            if frames[0] not in self._topics and not self._everything:
                continue
            try:
                head, received = wire.decode(frames)
            except wire.WireError:
                self.refused += 1
                continue
            if head.session != self.session:
                continue
            if self._may_say(received):
                arrived.append(received)
            else:
                self.refused += 1
        return arrived

    def asked(self, nonce: Callable[[], str] = str) -> list[Asked]:
        """Commands that have come, each with its sender's role as the key list has it now and randomness of its own.

        They are recorded here, by who received them, so that a replay sees what the receiver saw.
        """
        arrived: list[Asked] = []
        for _ in range(AT_ONCE):
            try:
                route, *parts = self._commands.recv_multipart(flags=zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            try:
                head, received = wire.decode([part.bytes for part in parts])
            except wire.WireError:
                self.refused += 1
                continue
            owner = self._keys.owner(str(parts[-1].get("User-Id")).encode()) if parts else None
            if owner is None or not isinstance(received.message, Command) or head.session != self.session:
                self.refused += 1
                continue
            command = _with_role(received.message, owner.role, nonce())
            frames = wire.encode(
                "command",
                command,
                session=self.session,
                publisher=owner.node,
                epoch=received.epoch,
                seq=received.seq,
            )
            self.record(frames)
            arrived.append(Asked(wire.decode(frames)[1], route.bytes))
        return arrived

    def answers(self) -> list[Received]:
        """Answers to this node's own commands, as the answering node recorded them."""
        arrived: list[Received] = []
        for dealer in self._dealers.values():
            for _ in range(AT_ONCE):
                try:
                    frames = dealer.recv_multipart(flags=zmq.NOBLOCK)
                except zmq.Again:
                    break
                try:
                    _, received = wire.decode(frames)
                except wire.WireError:
                    self.refused += 1
                    continue
                if isinstance(received.message, Answer):
                    arrived.append(received)
        return arrived

    # -- recorder and stimulator -------------------------------------------------------------------------------

    def record_to(self, recorder: str) -> None:
        """Push recorded messages to this node from now on."""
        self._push = self._client(zmq.PUSH)
        self._push.sndhwm = RECORD_QUEUE
        self._push.curve_serverkey = self._keys.key(recorder).public
        self._push.connect(self._runtime.endpoint(recorder, "rec"))

    def record_here(self, take: Callable[[list[bytes]], None]) -> None:
        """Let the recorder's own messages go straight to its file, also those it said before there was one."""
        self._record_here = take
        while self._early:
            take(self._early.popleft())

    def open_record(self) -> None:
        """Bind the socket that everybody pushes recorded messages to."""
        self._pull = self._server(zmq.PULL, "rec")
        self._pull.rcvhwm = 0

    def pushed(self) -> list[list[bytes]]:
        """Frames that have been pushed to this recorder; at most so many at once."""
        arrived: list[list[bytes]] = []
        if self._pull is None:
            return arrived
        for _ in range(16 * AT_ONCE):
            try:
                arrived.append(self._pull.recv_multipart(flags=zmq.NOBLOCK))
            except zmq.Again:
                break
        return arrived

    def open_stop(self) -> None:
        """Bind the stop socket of a stimulator."""
        self._stop = stop_socket(self._runtime, self.node)
        self._poller.register(self._stop.fileno(), zmq.POLLIN)

    def stops(self, now_ns: int) -> list[Stop]:
        """Stops that have come. Whatever arrives on that socket is one, readable or not."""
        arrived: list[Stop] = []
        if self._stop is None:
            return arrived
        for _ in range(AT_ONCE):
            try:
                data = self._stop.recv(4096)
            except (BlockingIOError, OSError):
                break
            arrived.append(_read_stop(data, now_ns))
        return arrived

    def stop_waits(self) -> bool:
        """Whether a stop has come that :meth:`stops` has not fetched yet."""
        return self._stop is not None and bool(select.select([self._stop], [], [], 0.0)[0])

    def own(self, outgoing: Outgoing) -> Received:
        """Publish something that this node's own object also consumes, and give it back as received."""
        return wire.decode(self.publish(outgoing))[1]

    def close(self) -> None:
        """Close everything, giving what is still queued for the recorder half a second; may be called twice."""
        if self._context.closed:
            return
        if self._push is not None:
            self._push.close(linger=500)
        for each in (self._publish, self._commands, self._subscribe, self._pull, *self._dealers.values()):
            if each is not None:
                each.close(linger=200)
        if self._stop is not None:
            self._stop.close()
        self._authenticator.stop()
        self._context.term()
        self._runtime.remove_sockets(self.node)
        if self._claim is not None:
            os.close(self._claim)

    # -- inside ------------------------------------------------------------------------------------------------

    def _may_say(self, received: Received) -> bool:
        """Whether who says it is in the list as it stands now, with a role that the table lets say it."""
        row = stream_of(received.topic)
        if self._keys.role(received.publisher) not in row.publishers:
            return False
        return row.instance != "node" or received.topic == f"{row.name}/{received.publisher}"

    def _encode(self, outgoing: Outgoing) -> list[bytes]:
        seq = self._seq.get(outgoing.topic, 0)
        self._seq[outgoing.topic] = seq + 1
        return wire.encode(
            outgoing.topic,
            outgoing.message,
            session=self.session,
            publisher=self.node,
            epoch=self.epoch,
            seq=seq,
            array=outgoing.array,
        )

    def _server(self, kind: int, what: str) -> zmq.Socket[bytes]:
        made = self._context.socket(kind)
        made.curve_secretkey = self._own.secret
        made.curve_publickey = self._own.public
        made.curve_server = True
        made.bind(self._runtime.endpoint(self.node, what))
        return made

    def _client(self, kind: int) -> zmq.Socket[bytes]:
        made = self._context.socket(kind)
        made.curve_secretkey = self._own.secret
        made.curve_publickey = self._own.public
        return made


def stop_socket(runtime: RuntimeFolder, node: str) -> socket.socket:
    """Bind the datagram socket on which a stimulator hears stops."""
    if sys.platform == "win32":
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        runtime.socket_path(f"{node}.stop").write_text(str(made.getsockname()[1]), encoding="ascii")
    else:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.bind(str(runtime.socket_path(f"{node}.stop")))
    made.setblocking(False)
    return made


def send_stop(runtime: RuntimeFolder, node: str, who: str, why: str) -> None:
    """Send a stop to a stimulator's stop socket.

    Raises
    ------
    OSError
        If the stimulator is not there.
    """
    data = json.dumps({"who": who, "why": why}).encode()
    path = runtime.socket_path(f"{node}.stop")
    if sys.platform == "win32":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.sendto(data, ("127.0.0.1", int(path.read_text(encoding="ascii"))))
    else:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
            made.setblocking(False)
            made.sendto(data, str(path))


def _send(link: zmq.Socket[bytes], frames: list[bytes], flags: int = 0) -> None:
    """Send a message frame by frame: a third of the time of pyzmq's own `send_multipart`, which checks each frame.

    Only the first frame can find a queue full; then nothing of the message has been sent.
    """
    for frame in frames[:-1]:
        link.send(frame, flags | zmq.SNDMORE)
    link.send(frames[-1], flags)


def _read_stop(data: bytes, now_ns: int) -> Stop:
    try:
        said = json.loads(data)
        return Stop(t_ns=now_ns, who=str(said["who"])[:64], why=str(said["why"])[:256])
    except (ValueError, KeyError, TypeError):
        return Stop(t_ns=now_ns, who="unknown", why="a stop that could not be read")


def _with_role(command: Command, role: str, nonce: str) -> Command:
    return Command(
        t_ns=command.t_ns,
        id=command.id,
        kind=command.kind,
        target=command.target,
        who=command.who,
        why=command.why,
        arguments=command.arguments,
        role=role,
        nonce=nonce,
    )
