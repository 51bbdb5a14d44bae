import socket

import pytest

from myoloop.platform import endpoint


@pytest.mark.parametrize(
    "address", ["", "unix:", "unix", "/tmp/x", "tcp:", "tcp:localhost", "tcp::5", "tcp:h:0", "tcp:h:65536", "tcp:h:x"]
)
def test_a_malformed_address_is_refused_with_what_is_allowed(address):
    with pytest.raises(endpoint.EndpointError, match=r"unix:PATH nor tcp:HOST:PORT"):
        endpoint.listen(address)


def test_a_path_that_does_not_fit_a_unix_socket_is_refused():
    with pytest.raises(endpoint.EndpointError, match="at most 107"):
        endpoint.listen("unix:/" + "x" * 120)


def test_bytes_pass_and_the_path_is_private_and_removed(tmp_path):
    address = f"unix:{tmp_path}/s"
    listener = endpoint.listen(address)
    client = endpoint.connect(address)
    served, _ = listener.accept()
    client.send(b"x")
    assert served.recv(1) == b"x"
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
    for link in (listener, client, served):
        link.close()
    endpoint.remove(address)
    assert not (tmp_path / "s").exists()


def test_a_socket_in_use_is_not_taken_over_and_a_dead_one_is(tmp_path):
    address = f"unix:{tmp_path}/s"
    listener = endpoint.listen(address)
    with pytest.raises(endpoint.EndpointError, match="in use"):
        endpoint.listen(address)
    listener.close()
    endpoint.listen(address).close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "s").write_text("kept")
    with pytest.raises(endpoint.EndpointError):
        endpoint.listen(f"unix:{tmp_path}/s")
    assert (tmp_path / "s").read_text() == "kept"


def test_tcp_sends_small_writes_at_once():
    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    listener = endpoint.listen(f"tcp:127.0.0.1:{port}")
    client = endpoint.connect(f"tcp:127.0.0.1:{port}")
    assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    client.close()
    listener.close()


def test_nobody_listening_is_said(tmp_path):
    with pytest.raises(endpoint.EndpointError, match="cannot connect"):
        endpoint.connect(f"unix:{tmp_path}/none")
