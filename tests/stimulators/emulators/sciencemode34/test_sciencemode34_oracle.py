"""A second opinion: the packets of the package science_mode_4, understood by the emulator, and its answers by it."""

import pytest

from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.emulators.sciencemode34_wire import packed

pytest.importorskip("science_mode_4")

from science_mode_4.general.general_device_id import PacketGeneralGetDeviceId
from science_mode_4.general.general_stim_status import PacketGeneralGetStimStatus
from science_mode_4.low_level.low_level_channel_config import PacketLowLevelChannelConfig
from science_mode_4.low_level.low_level_init import PacketLowLevelInit
from science_mode_4.low_level.low_level_stop import PacketLowLevelStop
from science_mode_4.mid_level.mid_level_current_data import PacketMidLevelGetCurrentData
from science_mode_4.mid_level.mid_level_init import PacketMidLevelInit
from science_mode_4.mid_level.mid_level_stop import PacketMidLevelStop
from science_mode_4.mid_level.mid_level_types import MidLevelChannelConfiguration
from science_mode_4.mid_level.mid_level_update import PacketMidLevelUpdate
from science_mode_4.protocol.channel_point import ChannelPoint
from science_mode_4.protocol.packet_factory import PacketFactory
from science_mode_4.protocol.protocol import Protocol
from science_mode_4.protocol.types import Channel, Connector

MS, S = 1_000_000, 1_000_000_000
FACTORY = PacketFactory()


def say(host, packet, at_ns):
    packet.number = 60
    host.device.feed(Protocol.packet_to_bytes(packet), at_ns)


def answers(host, until_ns):
    """What the package makes of the answers."""
    read = []
    for number, command, payload in host.heard(until_ns):
        data = packed(number, command, payload)
        assert Protocol.is_valid_packet_data(data)
        read.append(FACTORY.create_packet_with_data(command, number, payload))
    return read


def results(host, until_ns):
    return [int(one.result_error) for one in answers(host, until_ns)]


def points(current_ma, phase_us):
    return [ChannelPoint(phase_us, current_ma), ChannelPoint(100, 0), ChannelPoint(phase_us, -current_ma)]


def test_a_low_level_session(host):
    say(host, PacketLowLevelInit(), 0)
    config = PacketLowLevelChannelConfig()
    config.execute_stimulation = True
    config.connector, config.channel = Connector.GREEN, Channel.BLACK
    config.points = points(12.5, 300)
    say(host, config, 50 * MS)
    say(host, PacketLowLevelStop(), 60 * MS)
    init, given, stop = answers(host, S)
    assert (int(init.result_error), int(given.result), int(stop.result_error)) == (0, 0, 0)
    assert (given.connector, given.channel) == (Connector.GREEN, Channel.BLACK)
    assert host.device.pulses_until(S) == [Pulse(50 * MS, 6, 12.5, 300.0)]


def test_a_mid_level_session(host):
    say(host, PacketMidLevelInit(), 0)
    update = PacketMidLevelUpdate()
    update.channel_configuration = [None, MidLevelChannelConfiguration(True, 0, 25, points(20, 200))]
    say(host, update, 100 * MS)
    assert results(host, 100 * MS) == [0, 0]
    say(host, PacketMidLevelGetCurrentData(), 150 * MS)
    (data,) = answers(host, 150 * MS)
    assert list(data.is_stimulation_active_per_channel) == [False, True] + [False] * 6
    assert [int(error) for error in data.channel_error] == [0] * 8
    say(host, PacketMidLevelStop(), 160 * MS)
    assert results(host, S) == [0]
    assert host.device.pulses_until(S) == [Pulse(t_ms * MS, 1, 20.0, 200.0) for t_ms in (100, 125, 150)]


@pytest.mark.parametrize(("load_ohm", "error"), [(float("inf"), 10), (20_000.0, 28)])
def test_errors_of_channels(host, load_ohm, error):
    host.faults.load_ohm[5] = load_ohm
    say(host, PacketMidLevelInit(), 0)
    update = PacketMidLevelUpdate()
    update.channel_configuration = [None] * 5 + [MidLevelChannelConfiguration(True, 0, 25, points(20, 200))]
    say(host, update, 100 * MS)
    say(host, PacketMidLevelGetCurrentData(), 101 * MS)
    assert [int(one) for one in answers(host, S)[-1].channel_error] == [0] * 5 + [error] + [0] * 2


def test_general_questions(host):
    say(host, PacketGeneralGetDeviceId(), 0)
    say(host, PacketGeneralGetStimStatus(), 0)
    who, status = answers(host, 0)
    assert who.device_id == "EMU-P24-01"
    assert (int(status.stim_status), status.high_voltage_on) == (0, False)
