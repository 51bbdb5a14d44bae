"""When the pulses of a RehaStim2 should have fallen, as far as the host can know."""

from myoloop.stimulators.driver import DecodedOutput
from myoloop.stimulators.sciencemode2.train import PredictedTrain

MS = 1_000_000


def output(number=0, current_ma=20.0, rate_hz=40.0):
    return DecodedOutput(number, current_ma, 250.0, rate_hz, 0)


def times(train):
    return {(told.channel, told.current_ma): told.t_ns for told in train.take({0: "left"})}


def begun(*outputs):
    train = PredictedTrain()
    train.begin(100 * MS, 120 * MS, outputs or (output(),))
    return train


def test_it_begins_between_command_and_answer_and_is_no_surer_than_that():
    train = begun()
    train.run(200 * MS)
    (told,) = train.take({})
    assert (told.channel, told.kind) == ("output 0", "predicted")
    assert told.t_ns == (110 * MS, 135 * MS, 160 * MS, 185 * MS)
    # Half of the time between, the line, and a drift of 1e-4 over 75 ms.
    assert told.uncertainty_ns == 10 * MS + 1 * MS + 7500


def test_no_pulse_is_told_twice_or_before_its_time():
    train = begun()
    train.run(134 * MS)
    assert times(train) == {("left", 20.0): (110 * MS,)}
    train.run(134 * MS)
    assert times(train) == {}
    train.run(135 * MS)
    assert times(train) == {("left", 20.0): (135 * MS,)}


def test_outputs_follow_one_another_in_slots():
    train = begun(output(0), output(5, 7.0))
    train.run(112 * MS)
    assert times(train) == {("left", 20.0): (110 * MS,), ("output 5", 7.0): (111_500_000,)}


def test_a_change_holds_from_the_next_round_after_it_on():
    train = begun()
    train.change(140 * MS, (output(current_ma=5.0),))
    train.change(165 * MS, (output(current_ma=6.0),))
    train.run(200 * MS)
    assert times(train) == {
        ("left", 20.0): (110 * MS, 135 * MS),
        ("left", 5.0): (160 * MS,),
        ("left", 6.0): (185 * MS,),
    }


def test_it_ends_at_the_earliest_end_and_may_turn_out_not_to_have():
    train = begun()
    train.end(150 * MS)
    train.end(180 * MS)
    train.run(200 * MS)
    assert times(train) == {("left", 20.0): (110 * MS, 135 * MS)}
    train.resume()
    train.run(200 * MS)
    assert times(train) == {("left", 20.0): (160 * MS, 185 * MS)}


def test_the_next_train_may_begin_a_new_period_after_the_latest_that_the_last_pulse_can_have_been():
    train = begun(output(0), output(5))
    train.end(112 * MS)
    train.run(200 * MS)
    last_ns = 110 * MS + 11 * MS
    assert train.ready_ns([output(0, rate_hz=10.0)]) == last_ns + 100 * MS
    assert train.ready_ns([output(0, rate_hz=10.0), output(5, rate_hz=10.0)]) == last_ns + 1_500_000 + 150 + 100 * MS
    assert train.ready_ns([output(3)]) == 0


def test_what_was_not_told_of_the_last_train_is_not_lost_when_the_next_begins():
    train = begun()
    train.end(140 * MS)
    train.begin(300 * MS, 300 * MS, (output(current_ma=3.0),))
    train.run(300 * MS)
    assert times(train) == {("left", 20.0): (110 * MS, 135 * MS), ("left", 3.0): (300 * MS,)}
