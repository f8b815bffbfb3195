"""An HTTP server that tells who asked and who answers: the far end of a Service's or a pod's traffic."""

import json
import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    """Answers every request with what it knows of it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """One answer, as JSON."""
        length = int(self.headers.get("Content-Length") or 0)
        said = {
            "pod": os.environ.get("POD_NAME") or socket.gethostname(),
            "node": os.environ.get("NODE_NAME", ""),
            "address": self.connection.getsockname()[0],
            "client": self.client_address[0],
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers),
            "body": self.rfile.read(length).decode(errors="replace"),
        }
        body = json.dumps(said, indent=2).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(Echo, f"do_{method}", Echo.do_GET)

if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1]) if len(sys.argv) > 1 else 8080), Echo).serve_forever()
