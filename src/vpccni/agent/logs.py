"""Log lines as the original writes them (spec 1.8): one JSON object a line, in ipamd.log and plugin.log.

A file that is full is put aside under the name that the original's has (ipamd-2026-01-02T15-04-05.000.log.gz). It is
compressed in a thread: 100 MB take seconds, and the loop that writes the line has pods to serve.
"""

from __future__ import annotations

import gzip
import json
import logging
import logging.handlers
import os
import shutil
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from vpccni.agent.settings import LogLevel

MAX_BYTES = 100 * 1024 * 1024
BACKUPS = 5
MOST_DAYS = 30
STAMP = "%Y-%m-%dT%H-%M-%S"
LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.FATAL: logging.CRITICAL,
}
WORDS = {number: level.value for level, number in LEVELS.items()}
PLUGIN_LOGGER = "vpccni.plugin"
TALKERS = ("botocore", "urllib3", "hpack", "asyncio")
"""Libraries whose debug lines would fill the file: request bodies, each header of each gRPC call."""


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


def open_logs(level: LogLevel, target: str, plugin_target: str, plugin_level: str = "debug") -> None:
    """Send the agent's lines to `target` and the plugin's to `plugin_target`: stderr, stdout or a file's path.

    A file that cannot be written is told of, and stderr is used: a node without logs still needs its CNI. A level that
    is none is debug (spec 1.8).
    """
    root = logging.getLogger()
    root.setLevel(LEVELS[level])
    root.addHandler(_handler(target))
    for name in TALKERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    plugin = logging.getLogger(PLUGIN_LOGGER)
    plugin.propagate = False
    known = {word.value: number for word, number in LEVELS.items()}
    plugin.setLevel(known.get(plugin_level.lower(), logging.DEBUG))
    plugin.addHandler(_handler(plugin_target))


class RotatedFile(logging.handlers.BaseRotatingHandler):
    """A log file of at most `max_bytes` and a line, with at most five compressed ones of at most thirty days beside it."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        """Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, "a", encoding="utf-8")
        self._path = path
        self._max_bytes = max_bytes
        self._tidying: threading.Thread | None = None
        if self._backups():
            self._start_tidying()  # a run that was killed may have left one uncompressed, and others grow old

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: ARG002, N802 -- logging's
        """Whether the file is full."""
        return self.stream is not None and os.fstat(self.stream.fileno()).st_size >= self._max_bytes

    def doRollover(self) -> None:  # noqa: N802 -- logging's
        """Begin a new file; what becomes of the old one is a thread's business."""
        if self.stream is not None:
            self.stream.close()
            self.stream = None  # logging opens it again, at the next line if this fails
        now = time.time()
        stamp = f"{time.strftime(STAMP, time.gmtime(now))}.{int(now * 1000) % 1000:03d}"
        self._path.rename(self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"))
        self.stream = self._open()
        self._start_tidying()

    def wait(self) -> None:
        """Return when old files are compressed and too old ones gone."""
        if self._tidying is not None:
            self._tidying.join()

    def _start_tidying(self) -> None:
        before = self._tidying
        self._tidying = threading.Thread(target=self._tidy, args=(before,), name="log", daemon=True)
        self._tidying.start()

    def _tidy(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        backups = sorted(self._backups().items(), reverse=True)
        oldest = datetime.now(UTC).timestamp() - MOST_DAYS * 24 * 3600
        for index, (at, path) in enumerate(backups):
            if index >= BACKUPS or at < oldest:
                path.unlink(missing_ok=True)
            elif path.suffix != ".gz":
                _compress(path)

    def _backups(self) -> dict[float, Path]:
        """By time. Of one that was compressed and not yet removed the plain file, to be done again."""
        found: dict[float, Path] = {}
        for ending in (f"{self._path.suffix}.gz", self._path.suffix):
            for path in self._path.parent.glob(f"{self._path.stem}-*{ending}"):
                stamp = path.name.removeprefix(f"{self._path.stem}-").removesuffix(ending)
                try:
                    at = datetime.strptime(f"{stamp}000+0000", f"{STAMP}.%f%z").timestamp()
                except ValueError:
                    continue  # somebody else's
                found[at] = path
        return found


def _handler(target: str) -> logging.Handler:
    handler: logging.Handler
    if target in {"", "stderr"}:
        handler = logging.StreamHandler(sys.stderr)
    elif target == "stdout":
        handler = logging.StreamHandler(sys.stdout)
    else:
        try:
            handler = RotatedFile(Path(target))
        except OSError as error:
            handler = logging.StreamHandler(sys.stderr)
            print(f"cannot write the log {target}: {error}; using stderr", file=sys.stderr)  # noqa: T201 -- there is no log yet
    handler.setFormatter(JsonLine())
    return handler


def _compress(path: Path) -> None:
    """The packed file appears whole or not at all."""
    unfinished = path.with_name(f".{path.name}.tmp")
    with path.open("rb") as plain, gzip.open(unfinished, "wb") as packed:
        shutil.copyfileobj(plain, packed)
    unfinished.rename(path.with_name(f"{path.name}.gz"))
    path.unlink()
