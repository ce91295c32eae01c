"""`kzoo serve-config`: what TensorFlow Serving needs to serve a directory of published models.

    models.config      which models, versions and labels            (ModelServerConfig)
    batching.config    how requests are put together                (BatchingParameters)
    monitoring.config  figures for Prometheus                       (MonitoringConfig)
    ssl.config         key and certificates for gRPC, if given      (SSLConfig)
    docker-compose.yaml, prometheus.yaml, kubernetes.yaml           (`manifests.py`)

The first four are protobuf messages as text, which `tensorflow_model_server` reads.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from kzoo.files import replacing
from kzoo.serve.manifests import METRICS, compose, kubernetes, prometheus

IMAGE = "tensorflow/serving:2.20.0"  # the newest that its makers have announced
POLICIES = ("labelled", "latest", "all")


@dataclass(frozen=True)
class Model:
    """A published model: its versions, ascending, and what they are called."""

    name: str
    versions: tuple
    labels: dict


@dataclass(frozen=True)
class Settings:
    """How a deployment is set up.

    Attributes:
        image: the server's container image.
        policy: `labelled` serves the versions that have a label and no other, `latest` the two newest, `all` all.
        batch_size: the largest batch that requests are put together to.
        batch_timeout_ms: how long the first request of a batch waits for others.
        cpus, memory_mb: of one server: what it is promised, and may not exceed.
        replicas: the fewest and the most servers that Kubernetes runs.
        storage: where Kubernetes finds the models: the name of a volume claim, or a URL such as
            `gs://bucket/models` that the server reads by itself.
    """

    image: str = IMAGE
    policy: str = "labelled"
    batch_size: int = 32
    batch_timeout_ms: float = 2.0
    cpus: int = 2
    memory_mb: int = 2048
    replicas: tuple = (2, 10)
    storage: str = "models"


def write_config(models_dir, out, labels=None, tls=None, **settings):
    """Writes the configuration of TensorFlow Serving for the models of a directory.

    Args:
        models_dir: the directory that `kzoo publish` writes to.
        out: where the files go; those there are replaced, each whole.
        labels: versions by label and model, as in `{"digits": {"stable": 1, "canary": 2}}`. Models left out get
            `stable` for their newest version; the two newest of several are `canary` and `stable`.
        tls: paths of the server's key, its certificate and, to ask clients for theirs, the authority's
            certificate; or `None`. It protects gRPC: TensorFlow Serving's REST port has no TLS.
        **settings: the attributes of `Settings`.

    Returns:
        The files written.

    Raises:
        FileNotFoundError: if there is no such directory.
        ValueError: if it holds no published model, or a label, a policy or a number does not fit.
    """
    models_dir, out, settings = Path(models_dir), Path(out), _check_settings(Settings(**settings))
    models = find_models(models_dir, labels, settings.policy)
    files = {
        "models.config": models_config(models, settings.policy),
        "batching.config": batching_config(settings),
        "monitoring.config": monitoring_config(),
    }
    if tls is not None:
        files["ssl.config"] = ssl_config(*tls)
    source = os.path.relpath(models_dir.resolve(), out.resolve())
    files["docker-compose.yaml"] = compose(source, models, settings, tls is not None)
    files["prometheus.yaml"] = prometheus()
    texts = {name: text for name, text in files.items() if name.endswith(".config")}
    files["kubernetes.yaml"] = kubernetes(texts, models, settings, tls is not None)
    for name, text in files.items():
        with replacing(out / name) as aside:
            aside.write_text(text, encoding="utf-8")
        if name == "ssl.config":
            (out / name).chmod(0o600)
    return [out / name for name in files]


def find_models(models_dir, labels=None, policy="labelled"):
    """The published models of a directory, by name, each with its labels.

    Raises:
        FileNotFoundError: if there is no such directory.
        ValueError: if there is no model in it, or a label names what is not there or not served.
    """
    models_dir, labels = Path(models_dir), dict(labels or {})
    if not models_dir.is_dir():
        raise FileNotFoundError(f"there is no such directory. Received: {models_dir}")
    models = []
    for folder in sorted(models_dir.iterdir()):
        versions = _versions(folder)
        if not versions:
            continue
        given = labels.pop(folder.name, None)
        named = _default_labels(versions) if given is None else given
        missing = [f"{label}={version}" for label, version in named.items() if version not in versions]
        if missing or (not named and policy == "labelled"):
            raise ValueError(
                f"the model {folder.name} has the versions {', '.join(map(str, versions))}; each label needs one of "
                f"them. Received: {', '.join(missing) or 'no label'}"
            )
        served = _served(versions, named, policy)
        if unserved := [f"{label}={version}" for label, version in named.items() if version not in served]:
            raise ValueError(
                f"of the model {folder.name}, the policy {policy} serves {', '.join(map(str, served))} only. "
                f"Received: {', '.join(unserved)}"
            )
        models.append(Model(folder.name, versions, named))
    if labels or not models:
        known = ", ".join(model.name for model in models) or "no published model: kzoo publish MODEL " + str(
            models_dir
        )
        raise ValueError(f"in {models_dir} there is {known}. Received: labels for {sorted(labels)}")
    return models


def _versions(folder):
    if not folder.is_dir() or folder.name.startswith("."):
        return ()
    found = [path.name for path in folder.iterdir() if (path / "saved_model.pb").is_file()]
    return tuple(sorted(int(name) for name in found if name.isdecimal()))


def _default_labels(versions):
    if len(versions) == 1:
        return {"stable": versions[-1]}
    return {"stable": versions[-2], "canary": versions[-1]}


def _served(versions, labels, policy):
    chosen = {"labelled": sorted(set(labels.values())), "latest": versions[-2:], "all": versions}
    return tuple(chosen[policy])


def _check_settings(settings):
    if settings.policy not in POLICIES:
        raise ValueError(f"the policy is one of {', '.join(POLICIES)}. Received: policy={settings.policy!r}")
    fewest, most = settings.replicas
    numbers = (settings.batch_size, settings.batch_timeout_ms, settings.cpus, settings.memory_mb, fewest)
    if min(numbers) <= 0 or fewest > most:
        raise ValueError(f"sizes and times are above 0, and the fewest replicas first. Received: {settings}")
    return settings


def models_config(models, policy):
    """A `ModelServerConfig`: where the models are, which versions are served, what clients may call them."""
    blocks = []
    for model in models:
        lines = [
            f"name: {_quoted(model.name)}",
            f"base_path: {_quoted('/models/' + model.name)}",
            'model_platform: "tensorflow"',
        ]
        if policy == "labelled":
            served = "\n".join(
                f"versions: {version}" for version in _served(model.versions, model.labels, policy)
            )
        else:
            served = "num_versions: 2" if policy == "latest" else ""
        kind = {"labelled": "specific"}.get(policy, policy)
        lines.append(_block("model_version_policy", _block(kind, served)))
        for label, version in model.labels.items():
            lines.append(_block("version_labels", f"key: {_quoted(label)}\nvalue: {version}"))
        blocks.append(_block("config", "\n".join(lines)))
    return _block("model_config_list", "\n".join(blocks)) + "\n"


def batching_config(settings):
    """`BatchingParameters`: batches of a few sizes, so that few shapes have to be prepared for."""
    sizes = [2**power for power in range(settings.batch_size.bit_length()) if 2**power < settings.batch_size]
    lines = [
        f"max_batch_size {{ value: {settings.batch_size} }}",
        f"batch_timeout_micros {{ value: {round(1000 * settings.batch_timeout_ms)} }}",
        f"max_enqueued_batches {{ value: {50 * settings.cpus} }}",
        f"num_batch_threads {{ value: {settings.cpus} }}",
        *(f"allowed_batch_sizes: {size}" for size in [*sizes, settings.batch_size]),
    ]
    return "\n".join(lines) + "\n"


def monitoring_config():
    """A `MonitoringConfig`: figures for Prometheus on the REST port."""
    return _block("prometheus_config", f"enable: true\npath: {_quoted(METRICS)}") + "\n"


def ssl_config(key, certificate, authority=None):
    """An `SSLConfig`: the files' contents, since that is what the server wants."""
    given = {"server_key": key, "server_cert": certificate, "custom_ca": authority}
    lines = []
    for field, path in given.items():
        if path is not None:
            text = Path(path).read_text(encoding="ascii")
            if "-----BEGIN " not in text:
                raise ValueError(f"keys and certificates are in PEM. Received: {path}")
            lines.append(f"{field}: {_quoted(text)}")
    return "\n".join([*lines, f"client_verify: {'true' if authority else 'false'}"]) + "\n"


def _block(name, content):
    if not content:
        return f"{name} {{}}"
    inner = "\n".join(f"  {line}" for line in content.splitlines())
    return f"{name} {{\n{inner}\n}}"


def _quoted(text):
    return json.dumps(text)  # whose escapes protobuf's text format has too


def add(command):
    """write TensorFlow Serving's configuration, Docker Compose and Kubernetes files for published models"""
    command.add_argument("models", help="the directory that `kzoo publish` writes to")
    command.add_argument("out", help="where the files go")
    command.add_argument(
        "--label", action="append", default=[], metavar="MODEL:LABEL=VERSION",
        help="what a version is called; may be repeated. Default: the two newest are stable and canary",
    )  # fmt: skip
    command.add_argument(
        "--policy",
        choices=POLICIES,
        default="labelled",
        help="which versions are served; default: %(default)s",
    )
    command.add_argument("--image", default=IMAGE, help="default: %(default)s")
    command.add_argument("--batch-size", type=int, default=32, help="largest batch; default: %(default)s")
    command.add_argument(
        "--batch-timeout-ms", type=float, default=2.0, help="wait for more requests; default: %(default)s"
    )
    command.add_argument("--cpus", type=int, default=2, help="of one server; default: %(default)s")
    command.add_argument("--memory-mb", type=int, default=2048, help="of one server; default: %(default)s")
    command.add_argument(
        "--replicas", type=int, nargs=2, default=(2, 10), metavar=("FEWEST", "MOST"), help="default: 2 10"
    )
    command.add_argument(
        "--storage",
        default="models",
        help="a Kubernetes volume claim or a URL with the models; default: %(default)s",
    )
    command.add_argument(
        "--tls",
        nargs="+",
        metavar="PEM",
        help="the server's key and certificate, and an authority's, for gRPC",
    )

    def run(options):
        from rich.console import Console

        if options.tls is not None and len(options.tls) not in (2, 3):
            raise ValueError(
                f"--tls takes a key, a certificate and maybe an authority's. Received: {options.tls}"
            )
        names = ("policy", "image", "batch_size", "batch_timeout_ms", "cpus", "memory_mb", "storage")
        settings = {name: getattr(options, name) for name in names}
        files = write_config(
            options.models, options.out, parse_labels(options.label), options.tls,
            replicas=tuple(options.replicas), **settings,
        )  # fmt: skip
        for file in files:
            Console().print(str(file), highlight=False)

    return run


def parse_labels(texts):
    """`digits:stable=1` and the like as labels by model.

    Raises:
        ValueError: if it reads otherwise.
    """
    labels = {}
    for text in texts:
        match = re.fullmatch(r"([^:=]+):([^:=]+)=(\d+)", text)
        if not match:
            raise ValueError(f"a label is written MODEL:LABEL=VERSION. Received: {text!r}")
        labels.setdefault(match[1], {})[match[2]] = int(match[3])
    return labels or None
