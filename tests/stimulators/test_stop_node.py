"""The stop node: a POST or a pedal becomes a stop, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import os
import pty
import socket
import subprocess
import sys
import threading
import tty

import pytest

from myoloop.stimulators import stop

POST_BODY = b"x" * 40_000


@pytest.fixture
def stops(short_folder):
    """The stimulator's stop socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(short_folder / "stimulator.stop"))
        made.settimeout(10)
        yield made


@pytest.fixture
def path(short_folder) -> str:
    return str(short_folder / "stimulator.stop")


@pytest.fixture
def node():
    """Start stop nodes as the supervisor does; they end with their standard input."""
    started = []

    def start(*arguments: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "myoloop.stimulators.stop", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        process.wait(10)


def ready(process: subprocess.Popen) -> list[str]:
    """Wait until it says that it is; what else it says then."""
    word, *more = process.stdout.readline().split()
    assert word == "ready"
    return more


def post(port: int, where: str = "/", body: bytes = b"") -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", where, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture
def server(path):
    made = stop.StopServer(path, 0)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made.server_address[1]
    made.shutdown()
    thread.join()
    made.server_close()


def test_it_imports_the_standard_library_alone():
    code = (
        "import sys, myoloop.stimulators.stop; "
        "names = {name.partition('.')[0] for name, module in sys.modules.items() if module}; "
        "print(sorted(names - set(sys.stdlib_module_names) - {'__main__', 'myoloop'})); "
        "print(sorted(name for name in sys.modules if name.startswith('myoloop')))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=_source_tree())
    foreign, own = done.stdout.splitlines()
    assert foreign == "[]", done.stderr
    assert own == "['myoloop', 'myoloop.stimulators', 'myoloop.stimulators.stop']"


def _source_tree() -> dict[str, str]:
    root = os.path.dirname(os.path.dirname(os.path.dirname(stop.__file__)))  # noqa: PTH120
    return {**os.environ, "PYTHONPATH": root}


class TestPost:
    @pytest.mark.parametrize(("where", "body"), [("/", b""), ("/any/where?x=1", b"anything"), ("/", POST_BODY)])
    def test_whatever_is_posted_wherever_to_stops(self, stops, server, where, body):
        assert post(server, where, body) == (200, {"sent": True})
        assert json.loads(stops.recv(4096)) == {"who": "stop node", "why": "POST"}

    def test_it_can_be_seen_to_be_there_without_stopping(self, stops, server):
        connection = http.client.HTTPConnection("127.0.0.1", server, timeout=10)
        connection.request("GET", "/")
        assert json.loads(connection.getresponse().read()) == {"stop": "POST here"}
        connection.close()
        stops.setblocking(False)
        with pytest.raises(BlockingIOError):
            stops.recv(4096)

    @pytest.mark.parametrize(("method", "status"), [("POST", 200), ("GET", 200), ("OPTIONS", 200)])
    def test_a_page_from_another_port_may_ask_and_read_the_answer(self, stops, server, method, status):
        connection = http.client.HTTPConnection("127.0.0.1", server, timeout=10)
        connection.request(method, "/", headers={"Origin": "http://127.0.0.1:1"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, "*")
        assert {"POST", "OPTIONS"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))

    def test_to_ask_whether_one_may_post_stops_nothing(self, stops, server):
        connection = http.client.HTTPConnection("127.0.0.1", server, timeout=10)
        connection.request("OPTIONS", "/", headers={"Access-Control-Request-Method": "POST"})
        connection.getresponse().read()
        connection.close()
        stops.setblocking(False)
        with pytest.raises(BlockingIOError):
            stops.recv(4096)

    def test_no_stimulator_is_no_success_for_a_page_either(self, server):
        connection = http.client.HTTPConnection("127.0.0.1", server, timeout=10)
        connection.request("POST", "/")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["sent"]) == (503, False)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        connection.close()

    def test_without_a_port_of_its_own_it_takes_a_free_one_and_says_which(self, stops, node, path):
        (port,) = ready(node(path, "--port", "0"))
        assert post(int(port)) == (200, {"sent": True})

    def test_no_stimulator_is_no_success(self, server):
        status, answer = post(server)
        assert (status, answer["sent"]) == (503, False)

    def test_a_queue_full_of_stops_is_a_stop(self, stops, server):
        for _ in range(300):
            assert post(server)[0] == 200
        assert json.loads(stops.recv(4096))["why"] == "POST"

    def test_one_client_that_hangs_keeps_no_other_from_stopping(self, stops, server):
        with socket.create_connection(("127.0.0.1", server)) as hanging:
            hanging.sendall(b"POST / HTTP/1.1\r\nContent-Le")
            assert post(server)[0] == 200
        assert stops.recv(4096)

    def test_only_this_host_can_reach_it(self, path):
        with stop.StopServer(path, 0) as made:
            assert made.server_address[0] == "127.0.0.1"

    def test_who_listens_again_right_after_a_stop_gets_the_port(self, stops, node, path):
        first = node(path, "--port", str(port := _free_port()))
        ready(first)
        assert post(port)[0] == 200
        first.stdin.close()
        assert first.wait(10) == 0
        ready(node(path, "--port", str(port)))


class TestPedal:
    @pytest.fixture
    def pedal(self):
        """A serial line that nobody has set to anything."""
        foot, device = pty.openpty()
        yield foot, os.ttyname(device)
        os.close(device)
        for end in (foot,):
            try:
                os.close(end)
            except OSError:
                continue

    def test_any_byte_stops_at_once_without_a_line_end(self, stops, node, path, pedal):
        foot, name = pedal
        ready(node(path, "--pedal", name))
        for byte in (b"x", b"\x00", b"\x04", b"\x03"):
            os.write(foot, byte)
            assert json.loads(stops.recv(4096)) == {"who": "pedal", "why": "pressed"}

    def test_it_works_again_after_more_presses_than_the_socket_takes(self, stops, node, path, pedal):
        foot, name = pedal
        ready(node(path, "--pedal", name))
        tty.setraw(foot)
        # One press of a pedal that chatters, while the stimulator does not look.
        for _ in range(500):
            os.write(foot, b"x" * 64)
        stops.setblocking(False)
        waiting = 0
        with pytest.raises(BlockingIOError):  # noqa: PT012
            while waiting < 10_000:
                stops.recv(4096)
                waiting += 1
        assert waiting
        stops.settimeout(10)
        os.write(foot, b"y")
        assert json.loads(stops.recv(4096))["why"] == "pressed"

    def test_a_press_that_reaches_nobody_does_not_end_the_watch(self, node, path, pedal, short_folder):
        foot, name = pedal
        ready(node(path, "--pedal", name))
        os.write(foot, b"x")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
            late.bind(path)
            late.settimeout(0.05)
            for _ in range(200):
                os.write(foot, b"y")
                try:
                    said = late.recv(4096)
                except TimeoutError:
                    continue
                break
            assert json.loads(said)["why"] == "pressed"

    def test_a_pedal_that_is_unplugged_stops(self, stops, node, path, short_folder):
        fifo = short_folder / "hid"
        os.mkfifo(fifo)
        holding = os.open(fifo, os.O_RDWR)
        ready(node(path, "--pedal", str(fifo)))
        os.close(holding)
        assert json.loads(stops.recv(4096)) == {"who": "pedal", "why": "lost"}


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--pedal", "/dev/nowhere", "pedal /dev/nowhere: no such file or directory"),
        ("--port", "70000", "port 70000"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_exit_code_2(node, path, option, value, why):
    process = node(path, option, value)
    assert process.wait(10) == 2
    error = process.stderr.read()
    assert error.startswith(f"stop node: {why}")
    assert error.count("\n") == 1


def test_a_port_in_use_is_one_line_and_exit_code_2(node, path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = node(path, "--port", str(port))
        assert process.wait(10) == 2
    assert process.stderr.read() == f"stop node: port {port}: address already in use\n"


def test_it_ends_when_the_supervisor_is_gone(node, path):
    process = node(path, "--port", str(_free_port()))
    ready(process)
    process.stdin.close()
    assert process.wait(10) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
