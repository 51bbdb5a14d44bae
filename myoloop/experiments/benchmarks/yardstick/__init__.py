"""The yardstick: the same work over other transports, each stage a process of its own.

This folder is also copied, as it is, into the throw-away environments of peers in which myoloop is not installed.
Therefore its imports are relative, and it needs numpy, scipy and the transport it speaks, nothing of ours.
"""
