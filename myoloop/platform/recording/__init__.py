"""The one file of a session: written, read, verified, recovered.

``writer`` and ``recorder`` make it, ``reader`` and ``info`` read it, ``verify``, ``recover`` and ``compact`` look
after it; ``folder`` says where it stands, ``layout`` what is in it, ``chain`` what makes a change show.
"""
