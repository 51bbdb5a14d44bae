"""Devices that speak the wire protocol on a pty or a socket."""
