"""Docker Compose, Prometheus and Kubernetes files around `tensorflow_model_server`."""

import hashlib

from kzoo.engine import require

GRPC_PORT, REST_PORT = 8500, 8501
METRICS = "/monitoring/prometheus/metrics"
NAME = "kzoo-serving"
MADE = "# Made by `kzoo serve-config`; made again, it is overwritten.\n"
SECRET = "kzoo-serving-tls"


def server_arguments(base="/models", tls=False):
    """The command line of the server, which finds its configuration in `/config`."""
    arguments = [
        "tensorflow_model_server",
        f"--port={GRPC_PORT}",
        f"--rest_api_port={REST_PORT}",
        "--model_config_file=/config/models.config",
        "--model_config_file_poll_wait_seconds=60",
        # Labels are given while their versions are still being loaded.
        "--allow_version_labels_for_unavailable_models=true",
        "--enable_batching=true",
        "--batching_parameters_file=/config/batching.config",
        "--monitoring_config_file=/config/monitoring.config",
    ]
    return [*arguments, "--ssl_config_file=/tls/ssl.config"] if tls else arguments


def compose(source, models, settings, tls=False):
    """Docker Compose: the server, and Prometheus for those who start it with `--profile monitoring`.

    Args:
        source: the directory of the models, relative to the file.
        models: the `Model`s.
        settings: the `Settings`.
        tls: whether there is an `ssl.config`.
    """
    mounted = [f"./{name}.config:/config/{name}.config:ro" for name in ("models", "batching", "monitoring")]
    if tls:
        mounted.append("./ssl.config:/tls/ssl.config:ro")
    source = source if source.startswith((".", "/")) else f"./{source}"
    server = {
        "image": settings.image,
        "entrypoint": server_arguments(tls=tls),
        # Reachable from this machine only: who serves others removes 127.0.0.1.
        "ports": [f"127.0.0.1:{port}:{port}" for port in (GRPC_PORT, REST_PORT)],
        "volumes": [f"{source}:/models:ro", *mounted],
        "healthcheck": {
            # The image has no curl. The ports open when every model has been loaded.
            "test": ["CMD", "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{REST_PORT}"],
            "interval": "10s",
            "timeout": "3s",
            "retries": 3,
            "start_period": "60s",
        },
        "deploy": {"resources": {"limits": {"cpus": str(settings.cpus), "memory": f"{settings.memory_mb}M"}}},
        "stop_grace_period": "30s",
        "restart": "unless-stopped",
    }
    watcher = {
        "image": "prom/prometheus:latest",
        "profiles": ["monitoring"],
        "ports": ["127.0.0.1:9090:9090"],
        "volumes": ["./prometheus.yaml:/etc/prometheus/prometheus.yml:ro"],
    }
    return MADE + _yaml({"services": {"serving": server, "prometheus": watcher}})


def prometheus():
    """What Prometheus asks the server for."""
    job = {
        "job_name": "serving",
        "metrics_path": METRICS,
        "static_configs": [{"targets": [f"serving:{REST_PORT}"]}],
    }
    return MADE + _yaml({"global": {"scrape_interval": "15s"}, "scrape_configs": [job]})


def kubernetes(configs, models, settings, tls=False):
    """Kubernetes: configuration, servers, one address for them, and how many there are.

    Args:
        configs: the server's configuration files, name to text. `ssl.config` is left out: its key belongs in a
            secret, not in a manifest.
        models: the `Model`s.
        settings: the `Settings`.
        tls: whether the server is given the secret `kzoo-serving-tls`.
    """
    configs = {name: text for name, text in configs.items() if name != "ssl.config"}
    remote = "://" in settings.storage
    if remote:
        for model in models:
            configs["models.config"] = configs["models.config"].replace(
                f'base_path: "/models/{model.name}"',
                f'base_path: "{settings.storage.rstrip("/")}/{model.name}"',
            )
    fewest, most = settings.replicas
    documents = [
        {**_head("v1", "ConfigMap"), "data": configs},
        {**_head("apps/v1", "Deployment"), "spec": _deployment(configs, models, settings, remote, tls)},
        {**_head("v1", "Service"), "spec": _service()},
        {**_head("autoscaling/v2", "HorizontalPodAutoscaler"), "spec": _autoscaler(fewest, most)},
        {
            **_head("policy/v1", "PodDisruptionBudget"),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _labels()}},
        },
    ]
    return MADE + "---\n".join(map(_yaml, documents))


def _labels():
    return {"app": NAME}


def _head(version, kind):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": NAME, "labels": _labels()}}


def _deployment(configs, models, settings, remote, tls):
    # The server reads models.config again by itself; the other files only when it starts.
    read_once = "".join(text for name, text in sorted(configs.items()) if name != "models.config")
    annotations = {
        "kzoo/config": hashlib.sha256(read_once.encode()).hexdigest()[:16],
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(REST_PORT),
        "prometheus.io/path": METRICS,
    }
    volumes = [{"name": "config", "configMap": {"name": NAME}}]
    mounts = [{"name": "config", "mountPath": "/config", "readOnly": True}]
    if not remote:
        claim = {"claimName": settings.storage, "readOnly": True}
        volumes.append({"name": "models", "persistentVolumeClaim": claim})
        mounts.append({"name": "models", "mountPath": "/models", "readOnly": True})
    if tls:
        volumes.append({"name": "tls", "secret": {"secretName": SECRET}})
        mounts.append({"name": "tls", "mountPath": "/tls", "readOnly": True})
    status = f"/v1/models/{models[0].name}"
    container = {
        "name": "serving",
        "image": settings.image,
        "command": server_arguments(tls=tls),
        "ports": [{"name": "grpc", "containerPort": GRPC_PORT}, {"name": "rest", "containerPort": REST_PORT}],
        # The ports open when every model has been loaded; metadata is there only for a model that answers.
        "startupProbe": _probe({"httpGet": {"path": status, "port": "rest"}}, every=5, failures=60),
        "readinessProbe": _probe(
            {"httpGet": {"path": f"{status}/metadata", "port": "rest"}}, every=5, failures=2
        ),
        "livenessProbe": _probe({"tcpSocket": {"port": "grpc"}}, every=20, failures=3),
        # Requests go on arriving for a moment after a pod has been told to stop.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "10"]}}},
        "resources": {
            "requests": {"cpu": str(settings.cpus), "memory": f"{settings.memory_mb}Mi"},
            "limits": {"cpu": str(settings.cpus), "memory": f"{settings.memory_mb}Mi"},
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
    }
    pod = {"terminationGracePeriodSeconds": 60, "containers": [container], "volumes": volumes}
    return {
        # No `replicas`: the autoscaler says how many, and applying this file must not undo it.
        "selector": {"matchLabels": _labels()},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": _labels(), "annotations": annotations}, "spec": pod},
    }


def _probe(question, every, failures):
    return {**question, "periodSeconds": every, "timeoutSeconds": 3, "failureThreshold": failures}


def _service():
    ports = [
        {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "appProtocol": "grpc"},
        {"name": "rest", "port": REST_PORT, "targetPort": "rest", "appProtocol": "http"},
    ]
    return {"selector": _labels(), "ports": ports}


def _autoscaler(fewest, most):
    target = {"type": "Utilization", "averageUtilization": 70}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
        "minReplicas": fewest,
        "maxReplicas": most,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }


def _yaml(document):
    yaml = require("yaml", "serve")

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as blocks, as people do, and never refers to one place from another."""

        def ignore_aliases(self, data):
            return True

    def text(dumper, value):
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=120)
