"""`kzoo serve`: the options of the local model server."""

import os


def add(command):
    """serve a folder of SavedModels over TensorFlow Serving's REST and gRPC interfaces, for development"""
    command.add_argument("directory", nargs="?", help="a folder with NAME/VERSION/saved_model.pb")
    command.add_argument("--host", default="127.0.0.1", help="default: %(default)s, this machine only")
    command.add_argument("--rest-port", type=int, default=8501, help="0: a free one; default: %(default)s")
    command.add_argument("--grpc-port", type=int, default=8500, help="0: a free one; default: %(default)s")
    command.add_argument("--config", help="models.config: models, version policies and labels")
    command.add_argument(
        "--poll-seconds", type=float, default=1.0, help="how often to look for versions; default: %(default)s"
    )
    batching = command.add_argument_group("batching")
    batching.add_argument("--no-batching", action="store_true", help="run every request by itself")
    batching.add_argument(
        "--max-batch-size", type=int, default=32, help="rows of a batch; default: %(default)s"
    )
    batching.add_argument(
        "--batch-timeout-ms",
        type=float,
        default=0.0,
        help="how long a request may wait for others; default: 0, only while the model is busy",
    )
    batching.add_argument(
        "--max-queue", type=int, default=1000, help="waiting requests per version; default: %(default)s"
    )
    batching.add_argument(
        "--batch-threads", type=int, default=1, help="batches of a version at once; default: %(default)s"
    )
    limits = command.add_argument_group("limits and access")
    limits.add_argument("--max-request-bytes", type=int, default=64 << 20, help="default: %(default)s")
    limits.add_argument(
        "--timeout", type=float, default=30.0, help="seconds per answer; default: %(default)s"
    )
    limits.add_argument(
        "--read-timeout",
        type=float,
        default=60.0,
        help="seconds for a request to arrive; default: %(default)s",
    )
    limits.add_argument("--refuse-nan", action="store_true", help="refuse inputs with NaN or Infinity")
    limits.add_argument("--token-file", help="a bearer token that clients must send; else KZOO_TOKEN, if set")
    limits.add_argument("--tls-cert", help="certificate, for encrypted connections")
    limits.add_argument("--tls-key", help="its key")
    limits.add_argument("--tls-client-ca", help="require client certificates signed by this authority")
    limits.add_argument(
        "--grace",
        type=float,
        default=30.0,
        help="seconds to finish requests on SIGTERM; default: %(default)s",
    )
    command.add_argument("--log-requests", action="store_true", help="a line of JSON for every request")
    return run


def run(options):
    """Serves until it is told to stop."""
    from kzoo.serve.auth import read_token
    from kzoo.serve.batching import BatchingOptions
    from kzoo.serve.rest import RestOptions
    from kzoo.serve.server import TLS, serve

    if bool(options.tls_cert) != bool(options.tls_key):
        raise ValueError("--tls-cert and --tls-key go together. Received: one of them")
    batching = None
    if not options.no_batching:
        batching = BatchingOptions(
            options.max_batch_size, options.batch_timeout_ms / 1000, options.max_queue, options.batch_threads
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # lines of JSON, not TensorFlow's notes
    serve(
        options.directory,
        options.host,
        options.rest_port,
        options.grpc_port,
        config=options.config,
        poll_seconds=options.poll_seconds,
        batching=batching,
        rest=RestOptions(
            max_request_bytes=options.max_request_bytes,
            timeout=options.timeout,
            read_timeout=options.read_timeout,
        ),
        token=read_token(options.token_file),
        tls=TLS(options.tls_cert, options.tls_key, options.tls_client_ca) if options.tls_cert else None,
        refuse_nan=options.refuse_nan,
        grace=options.grace,
        log_requests=options.log_requests,
    )
    return 0
