"""The host: links, addresses, routes, rules, SNAT and connmark, as wanted sets.

Everything but the watcher is synchronous, blocks, raises OSError with a sentence, may be killed anywhere and run again, and needs
CAP_NET_ADMIN and CAP_NET_RAW only. What is right is not touched; what is not ours is never touched.

    names.host_veth(prefix, pod, interface=0) -> str
    rtnl.Netlink() / Netlink.from_fd(fd)                  a NETLINK_ROUTE socket of one namespace
    sources.Sources(mask)                                 the compact layout's map of ENIs; None everywhere: compatible
    pod.wire(host, inside, netns_fd, PodWiring, sysctl_dir_fd=None, sources=None) -> Wired    raises WiringError, all undone
    pod.unwire(host, address, host_veth | None, table | None, sources=None)     rules, route; the link is buried
    pod.reap(netlink)                                     removes buried links; on a socket of its own it delays nobody
    pod.check(host, inside, PodWiring, sources=None) -> [differences in words]
    eni.wait_for_link(mac, seconds) -> Link               by link events
    eni.set_up_eni(netlink, Eni, mtu, seconds) -> [changes]
    eni.tear_down_eni(netlink, Eni) -> [changes]
    host.set_up_host(netlink, HostSettings) -> [changes]  again when the VPC's CIDRs change
    host.keep_pods(netlink, wirings, sources=None) -> [changes]         what live pods miss is added
    host.leftovers(netlink, prefix, live, spared=(), sources=None) -> Leftovers, host.remove_leftovers(netlink, found)
        the two, in that order, exchange one layout for the other while pods run
    host.pod_links(netlink) -> the host veths' names by the digits that name the pod
    heal.heal(netlink, Wanted, Part) -> [changes]         all of the above as one look and its difference
    drift.DriftWatcher(wanted, heal, veth_prefix=, own_ports=, poll=)   asyncio: has it healed within a second
    conntrack.Released()                                  connections of addresses that were given back
"""
