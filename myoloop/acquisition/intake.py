"""From a source's blocks to messages: the samples with their mask, and the small message the gate listens to.

Each stream of a source has its own intake. Each of its blocks becomes one `Samples` and one `Vital`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from myoloop.acquisition.quality import Quality, QualitySettings
from myoloop.acquisition.source import Block, SourceError
from myoloop.platform.messages import SampleDescriptor, Samples, Vital
from myoloop.platform.steps import Outgoing


class Intake:
    """Judges the blocks of one stream and makes its messages; pure.

    Parameters
    ----------
    descriptor
        Of the stream.
    vital_topic
        Where its health is told, see :func:`vital_topics`.
    settings
        Where the lines of quality are drawn.
    """

    def __init__(self, descriptor: SampleDescriptor, vital_topic: str, settings: QualitySettings | None = None) -> None:
        self.descriptor = descriptor
        self.vital_topic = vital_topic
        self._quality = Quality(descriptor, settings)
        self._dtype = np.dtype(descriptor.dtype)
        self._taken = 0

    def take(self, block: Block, samples_seq: int | None = None) -> list[Outgoing]:
        """Make the messages of a block, `Samples` first; none of an empty one.

        Parameters
        ----------
        block
            Of this stream, in the order of arrival.
        samples_seq
            Number the publisher will give the `Samples`; counted here from 0 if None.

        Raises
        ------
        SourceError
            If the block is not what the descriptor says.
        """
        array = block.array
        if block.topic != self.descriptor.topic or array.dtype != self._dtype:
            raise SourceError(
                f"{self.descriptor.topic}: a block of {block.topic} in {array.dtype.str}, "
                f"expected {self.descriptor.dtype}"
            )
        if array.ndim == 2 and len(array) == 0:
            return []
        try:
            judged = self._quality.judge(array, block.first_sample, block.t_ns, block.invalid)
        except ValueError as error:
            raise SourceError(f"{self.descriptor.topic}: {error}") from None
        seq = self._taken if samples_seq is None else samples_seq
        self._taken = seq + 1
        mask = judged.invalid
        invalid = np.packbits(mask).tobytes() if mask is not None and mask.any() else b""
        samples = Samples(first_sample=block.first_sample, t_ns=block.t_ns, device_t=block.device_t, invalid=invalid)
        vital = Vital(
            topic=block.topic,
            samples_seq=seq,
            t_ns=block.t_ns,
            rate_hz=judged.rate_hz,
            valid_share=judged.valid_share,
            flags=judged.flags,
        )
        return [Outgoing(block.topic, samples, array), Outgoing(self.vital_topic, vital)]

    def see_pulses(self, times_ns: Iterable[int]) -> None:
        """Learn when current flowed (host time of leading edges), so that its artifact is not held against us."""
        self._quality.see_pulses(times_ns)

    def tick(self, now_ns: int) -> float | None:
        """Measured rate as it looks at `now_ns`, Hz; falls while nothing comes, None before there is enough."""
        return self._quality.rate_hz(now_ns)


def vital_topics(descriptors: Sequence[SampleDescriptor]) -> dict[str, str]:
    """Where the health of each stream of one source is told.

    ``vital/<source>`` speaks of the source's EMG. Its other streams have ``vital/<source>-imu`` and
    ``vital/<source>-force``; a source without EMG tells of its first stream on ``vital/<source>``.

    Returns
    -------
    dict
        Stream topic to vital topic.
    """
    ordered = sorted(descriptors, key=lambda descriptor: not descriptor.topic.startswith("emg/"))
    topics = {}
    for place, descriptor in enumerate(ordered):
        kind, _, source = descriptor.topic.partition("/")
        topics[descriptor.topic] = f"vital/{source}" if place == 0 else f"vital/{source}-{kind}"
    return topics
