"""Run inside a pod: `serve PORT`, or `talk ADDRESS PORT`, which asks until it is interrupted and then tells how it went."""

import json
import signal
import socket
import sys
import time

EVERY = 0.02


def serve(port: int) -> None:
    with socket.create_server(("", port)) as server:
        while True:
            client, _ = server.accept()
            with client:
                while data := client.recv(4096):
                    client.sendall(data)


def talk(address: str, port: int) -> None:
    sent, longest, going = 0, 0.0, True

    def stop(*_: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGINT, stop)
    with socket.create_connection((address, port), timeout=30) as connection:
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        while going:
            word = f"{sent:08d}".encode()
            asked = time.monotonic()
            connection.sendall(word)
            heard = b""
            while len(heard) < len(word):
                part = connection.recv(len(word) - len(heard))
                if not part:
                    raise SystemExit("the stream was ended")
                heard += part
            if heard != word:
                raise SystemExit(f"sent {word!r}, heard {heard!r}")
            longest = max(longest, time.monotonic() - asked)
            sent += 1
            time.sleep(EVERY)
    sys.stdout.write(json.dumps({"sent": sent, "longest": longest}))


if __name__ == "__main__":
    # whoever started the tests in the background may have had interrupts ignored, and that is inherited
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        talk(sys.argv[2], int(sys.argv[3]))
