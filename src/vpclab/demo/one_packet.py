"""Sends the first packet of a connection, as a program in a pod would: `python -m vpclab.demo.one_packet tcp ADDRESS PORT`.

It prints what came of it.
"""

from __future__ import annotations

import socket
import sys

WAIT = 2.0
"""Seconds for an answer."""


def send(protocol: str, address: str, port: int) -> str:
    """What came back, in a word or two: "answered", "refused", "no answer" or the error."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as connection:
        connection.settimeout(WAIT)
        try:
            connection.connect((address, port))
            if protocol == "udp":
                connection.send(b"?")
                connection.recv(1)
        except ConnectionRefusedError:
            return "refused"  # the far end is there: nobody listens
        except TimeoutError:
            return "no answer"
        except OSError as error:
            return error.strerror or str(error)
    return "answered"


if __name__ == "__main__":
    sys.stdout.write(send(sys.argv[1], sys.argv[2], int(sys.argv[3])))
