"""The region in packets: namespaces, veths, routes, nftables."""
