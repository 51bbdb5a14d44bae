"""The mapping file of a recording, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from myoloop.acquisition.mapping import load_mapping
from myoloop.platform.yamlfile import FileError

GOOD = """\
rate: 1 kHz
mains: 60 Hz
device: bench
delimiter: tab
channels:
  - {from: CH1, name: flexor, unit: mV, scale: 0.5, offset: -1.5, rails: [0, 65535]}
  - {from: 5, name: acc_z, kind: imu, unit: g, rate: 100 Hz}
  - {from: DI, kind: trigger}
  - {from: nSeq, kind: ignored}
"""


def test_a_mapping_says_what_each_column_is(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(GOOD)
    mapping = load_mapping(path)
    assert (mapping.rate_hz, mapping.mains_hz, mapping.device) == (1000.0, 60.0, "bench")
    flexor, acc, trigger, _ = mapping.channels
    assert (flexor.source, flexor.scale, flexor.offset, flexor.rails) == ("CH1", 0.5, -1.5, (0.0, 65535.0))
    assert (acc.source, acc.kind, acc.rate_hz) == (5, "imu", 100.0)
    assert [mapping.stream_of(channel) for channel in mapping.channels] == ["emg", "imu", "emg", "ignored"]
    assert trigger.kind == "trigger"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate: 1000\nchannels: [{from: a, unit: V}]", "1: rate: found 1000: .*unit"),
        ("rate: 0 Hz\nchannels: [{from: a, unit: V}]", "1: rate: found '0 Hz': a rate is greater than 0 Hz"),
        ("rate: 1 s\nchannels: [{from: a, unit: V}]", "1: rate: found '1 s'"),
        ("channels: []", "1: channels: found a list of 0, allowed: .*at least 1 item"),
        ("rate: 1 Hz", "1: channels: missing, but needed"),
        ("channels:\n- {from: a, unit: volt-ish}", "2: channels.0..unit: found 'volt-ish': found unit"),
        ("channels:\n- {from: a, unit: V, kind: emgg}", "2: channels.0..kind: found 'emgg', allowed: 'emg', 'imu'"),
        (
            "channels:\n- {from: a, unit: V}\n- {frm: b}",
            "3: channels.1..from: missing.*\n.*frm: unknown key .*mean from",
        ),
        ("channels:\n- {from: a, unit: V, scale: 0}", "2: channels.0..scale: found 0: a scale of 0"),
        ("channels:\n- {from: a, unit: V, scale: .nan}", "2: channels.0..scale: found nan, allowed: .*finite"),
        ("channels:\n- {from: a, scale: 2.0}", "2: channels.0.: .*scale and offset need a unit"),
        ("channels:\n- {from: a, unit: V, rails: [5, 1]}", "2: channels.0..rails: .*the lower rail comes first"),
        ("channels:\n- {from: a, kind: ignored}", "all are ignored"),
        ("channels:\n- {from: a, unit: V}\n- {from: b, unit: V, name: a}", "the name 'a' stands twice among emg"),
        ("channels:\n- {from: a, kind: imu, unit: g}\n- {from: t, kind: trigger}", "a trigger is sampled beside EMG"),
        ("channels:\n- {from: a, unit: V, name: 'a b'}", "2: channels.0..name: found 'a b'"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, text, said):
    path = tmp_path / "a.yaml"
    path.write_text(text + "\n")
    with pytest.raises(FileError, match=said):
        load_mapping(path)
