"""The original's gRPC: its plugin and probes are served on ipamd.sock, the network-policy agent is asked on npa.sock.

Only `serve` and `network_policy` are for others; they import the gRPC library when they are first used, because the
plugin's socket must not wait for it.
"""
