"""Gathers the facts, thinly: files, sockets and commands in, values out."""
