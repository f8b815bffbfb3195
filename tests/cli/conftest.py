from tests.linux.conftest import host, legacy, node, sandbox, sources, vpc

__all__ = ["host", "legacy", "node", "sandbox", "sources", "vpc"]
