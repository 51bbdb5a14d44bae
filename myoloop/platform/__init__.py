"""What every node stands on: streams, messages, wire, sockets, time, life of a node, the record."""
