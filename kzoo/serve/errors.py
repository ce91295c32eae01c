"""What goes wrong between a client and a model server: one error with one of gRPC's codes.

The codes and the HTTP status that belongs to each are those of TensorFlow Serving.
"""

HTTP_STATUS = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
_CODE_OF_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class ServeError(RuntimeError):
    """A request that was refused or that failed.

    Attributes:
        code: the name of a gRPC status code, such as `"NOT_FOUND"`.
        message: what was wrong, without the code.
        status: the HTTP status.
        retry: whether the same request may succeed a little later: by default if the code is UNAVAILABLE.
    """

    def __init__(self, code, message, status=None, retry=None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status or HTTP_STATUS[code]
        self.retry = code == "UNAVAILABLE" if retry is None else retry


def invalid(message):
    """The error for a request that can never succeed, whatever the server's state."""
    return ServeError("INVALID_ARGUMENT", message)


def code_of_status(status):
    """The gRPC code for an HTTP status."""
    return _CODE_OF_STATUS.get(status, "UNKNOWN" if status < 500 else "INTERNAL")
