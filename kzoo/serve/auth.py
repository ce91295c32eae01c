"""Bearer tokens: who may use the server."""

import hmac
import os
from pathlib import Path


class Guard:
    """Lets requests in that carry the token; without a token, all of them.

    Args:
        token: the secret, or `None`.
    """

    def __init__(self, token=None):
        self._token = token.encode() if token else None

    def allows(self, header):
        """Whether an `Authorization` header (text, or `None`) will do; the time it takes tells nothing."""
        if self._token is None:
            return True
        scheme, _, given = (header or "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)


def read_token(path=None):
    """The token in a file; without a file, in the variable `KZOO_TOKEN`; `None` if there is neither.

    Raises:
        ValueError: if the file is empty.
        OSError: if it cannot be read.
    """
    if path is None:
        return os.environ.get("KZOO_TOKEN") or None
    token = Path(path).read_text(encoding="utf-8").strip()
    if not token:
        raise ValueError(f"the token file is empty. Received: {path}")
    return token
