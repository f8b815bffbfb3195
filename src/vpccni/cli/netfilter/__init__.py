"""The host's packet filters as they are, in iptables of both kinds and in nftables, and what they do with one packet.

A packet's walk is pure, over what was read. What a rule asks that a walk cannot know (a set, a rate, a hash) is said as a doubt.
"""
