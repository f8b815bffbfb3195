"""The VPC in packets: namespaces, links, routes, source check, security groups, 1:1 NAT.

`namespaces.Place` is a corner of the lab (network, mount, UTS namespace) with threads that live in it:
`Place.create`, `call`, `run`, `spawn`, `listen`, `ip`, `nft`, `sysctl`, `close`; `place.namespaces.nsenter(pid)` is how a
process outside comes in. `node_place.node_place(name, root)` is one that looks like a machine of its own.
"""
