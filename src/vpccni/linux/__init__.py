"""The host: links, addresses, routes, rules, SNAT and connmark, as wanted sets."""
