"""What a board has, told without opening it, and a rig file to begin with."""

from __future__ import annotations

import pytest

from myoloop.acquisition.boards import STAND_INS, board_names, board_rig, describe_board
from myoloop.acquisition.brainflow import BrainFlowSource
from myoloop.acquisition.registry import make_source
from myoloop.acquisition.source import SourceError
from myoloop.platform.rig import load_rig


def test_a_board_is_described():
    assert describe_board("CYTON_DAISY_BOARD") == {
        "board": "CYTON_DAISY_BOARD", "rate_hz": 125.0, "emg": 16, "exg": 16, "accelerometer": 3, "gyroscope": 0,
        "imu_rate_hz": 125.0, "counter": {"wrap": 256, "step": 2},
    }  # fmt: skip
    assert describe_board("ANT_NEURO_EE_410_BOARD")["rate_hz"] == 2000.0
    assert describe_board("EXPLORE_8_CHAN_BOARD")["imu_rate_hz"] == 20.0
    assert describe_board("FREEEEG128_BOARD")["counter"] is None


def test_every_board_with_emg_has_a_rig_file_that_is_right(tmp_path):
    path = tmp_path / "rig.yaml"
    written = 0
    for board in board_names():
        if board in STAND_INS or not describe_board(board)["emg"] + describe_board(board)["exg"]:
            continue
        path.write_text(board_rig(board))
        rig = load_rig(path)
        node = rig.nodes["forearm"]
        source = make_source(node.source, node.settings, name="forearm")
        assert isinstance(source, BrainFlowSource)
        written += 1
    assert written > 40


def test_the_rig_names_what_the_board_has():
    assert "imu: {source: forearm}" in board_rig("UNICORN_BOARD")
    assert "signals: exg" in board_rig("UNICORN_BOARD")
    assert "imu:" not in board_rig("FREEEEG32_BOARD")
    assert "serial_port: /dev/ttyUSB0" in board_rig("CYTON_BOARD", "lab_two")
    assert "id: lab_two" in board_rig("CYTON_BOARD", "lab_two")


@pytest.mark.parametrize(
    ("board", "said"),
    [
        ("CYTON", "did you mean CYTON_BOARD"),
        ("zzz", "brainflow knows no board 'zzz'"),
        ("PLAYBACK_FILE_BOARD", "stands for another board: name that as master_board"),
        ("SHIMMER3_BOARD", "has no channel that can carry EMG"),
    ],
)
def test_a_board_of_no_use_says_why(board, said):
    with pytest.raises(SourceError, match=said):
        board_rig(board)
