"""Logs as lines of JSON: one event a line, for people with `jq` and for log collectors."""

import datetime
import json
import logging
import sys

_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """A line of JSON per record: time, level, event, and what was given as `extra`."""

    def format(self, record):
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if not record.name.startswith("kzoo"):
            line["logger"] = record.name
        line |= {key: value for key, value in vars(record).items() if key not in _OWN}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log(event, level="info", **known):
    """Writes one event and what is known about it."""
    renamed = {f"{key}_" if key in _OWN else key: value for key, value in known.items()}
    text = renamed.pop("message_", None)
    if text is not None:
        renamed["detail"] = text
    logging.getLogger("kzoo.serve").log(getattr(logging, level.upper()), event, extra=renamed)


def write_json_lines(stream=None):
    """Sends the logs of kzoo, and the warnings of the web and gRPC servers, to a stream; by default stderr."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (
        ("kzoo.serve", logging.INFO),
        ("uvicorn", logging.WARNING),
        ("grpc", logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
