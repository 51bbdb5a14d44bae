"""Driver of Hasomed's P24 (ScienceMode 4) and RehaMove3 (ScienceMode 3).

`frames`, `commands` and `answers` are the codec; `decoder` reads bytes for the device again, for the gate, and shares
nothing with them. `low_level` and `mid_level` are the two ways to stimulate; `driver` is what the node sees.
"""
