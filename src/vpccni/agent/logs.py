"""Log lines as the original writes them (spec 1.8): one JSON object a line, in ipamd.log and plugin.log."""

from __future__ import annotations

import gzip
import json
import logging
import logging.handlers
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from vpccni.agent.settings import LogLevel

MAX_BYTES = 100 * 1024 * 1024
BACKUPS = 5
LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.FATAL: logging.CRITICAL,
}
WORDS = {number: level.value for level, number in LEVELS.items()}
PLUGIN_LOGGER = "vpccni.plugin"


class JsonLine(logging.Formatter):
    """level, ts, caller, msg; then the extra fields flat; a stack trace if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        path = Path(record.pathname)
        line: dict[str, object] = {
            "level": WORDS.get(record.levelno, record.levelname.lower()),
            "ts": timestamp(record.created),
            "caller": f"{path.parent.name}/{path.name}:{record.lineno}",
            "msg": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update(fields)
        if record.exc_info:
            line["stacktrace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def timestamp(seconds: float) -> str:
    """ISO 8601 in UTC with milliseconds, as in 2026-01-02T15:04:05.000Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_logs(level: LogLevel, target: str, plugin_target: str) -> None:
    """Send the agent's lines to `target` and the plugin's to `plugin_target`: stderr, stdout or a file's path."""
    root = logging.getLogger()
    root.setLevel(LEVELS[level])
    root.addHandler(_handler(target))
    logging.getLogger("botocore").setLevel(
        logging.WARNING
    )  # its debug lines carry request bodies and headers
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    plugin = logging.getLogger(PLUGIN_LOGGER)
    plugin.propagate = False
    plugin.addHandler(_handler(plugin_target))


def _handler(target: str) -> logging.Handler:
    handler: logging.Handler
    if target in {"", "stderr"}:
        handler = logging.StreamHandler(sys.stderr)
    elif target == "stdout":
        handler = logging.StreamHandler(sys.stdout)
    else:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        rotating = logging.handlers.RotatingFileHandler(target, maxBytes=MAX_BYTES, backupCount=BACKUPS)
        rotating.namer = lambda name: f"{name}.gz"
        rotating.rotator = _compress
        handler = rotating
    handler.setFormatter(JsonLine())
    return handler


def _compress(source: str, destination: str) -> None:
    with Path(source).open("rb") as plain, gzip.open(destination, "wb") as packed:
        shutil.copyfileobj(plain, packed)
    Path(source).unlink()
