"""TensorFlow Serving's configuration: parsed back with the messages that the server itself parses it with."""

import argparse
from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2 as server_config

from kzoo.serve import config, manifests
from kzoo.serve.config import find_models, parse_labels, write_config

pytestmark = pytest.mark.once
SERVING = Path(__file__).parents[2] / "serving"
INT64, STRING, BOOL, MESSAGE = (
    getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name}")
    for name in ("INT64", "STRING", "BOOL", "MESSAGE")
)
# Field numbers as TensorFlow Serving publishes them; tensorflow-serving-api leaves these messages out.
PUBLISHED = {
    "Int64Value": {"value": (1, INT64, None)},
    "StringValue": {"value": (1, STRING, None)},
    "BatchingParameters": {
        "max_batch_size": (1, MESSAGE, "Int64Value"),
        "batch_timeout_micros": (2, MESSAGE, "Int64Value"),
        "max_enqueued_batches": (3, MESSAGE, "Int64Value"),
        "num_batch_threads": (4, MESSAGE, "Int64Value"),
        "thread_pool_name": (5, MESSAGE, "StringValue"),
        "allowed_batch_sizes": (6, INT64, "repeated"),
        "pad_variable_length_inputs": (7, BOOL, None),
    },
    "PrometheusConfig": {"enable": (1, BOOL, None), "path": (2, STRING, None)},
    "MonitoringConfig": {"prometheus_config": (1, MESSAGE, "PrometheusConfig")},
    "SSLConfig": {
        "server_key": (1, STRING, None),
        "server_cert": (2, STRING, None),
        "custom_ca": (3, STRING, None),
        "client_verify": (4, BOOL, None),
    },
}


def message(name):
    file = descriptor_pb2.FileDescriptorProto(name="published.proto", package="published", syntax="proto3")
    for title, fields in PUBLISHED.items():
        described = file.message_type.add(name=title)
        for field, (number, kind, of) in fields.items():
            label = 3 if of == "repeated" else 1
            added = described.field.add(name=field, number=number, type=kind, label=label)
            if kind == MESSAGE:
                added.type_name = f".published.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"published.{name}"))()


def publish_fakes(folder, **versions):
    for name, numbers in versions.items():
        for number in numbers:
            (folder / name / str(number)).mkdir(parents=True)
            (folder / name / str(number) / "saved_model.pb").touch()
    return folder


@pytest.fixture
def models(tmp_path):
    return publish_fakes(tmp_path / "models", digits=(1, 2, 10), flowers=(7,))


def served(path):
    parsed = text_format.Parse(path.read_text(), server_config.ModelServerConfig())
    return {one.name: one for one in parsed.model_config_list.config}


def pod_of(out):
    documents = {one["kind"]: one for one in yaml.safe_load_all((out / "kubernetes.yaml").read_text())}
    return documents, documents["Deployment"]["spec"]["template"]["spec"]


def test_models_versions_and_labels_are_what_the_server_parses(models, tmp_path):
    (models / "digits" / ".export-1-x" / "version").mkdir(parents=True)
    (models / "digits" / "11").mkdir()  # being written by somebody: no saved_model.pb yet
    write_config(models, tmp_path / "out", labels={"digits": {"stable": 1, "canary": 10}})
    found = served(tmp_path / "out" / "models.config")
    assert list(found) == ["digits", "flowers"]
    assert found["digits"].base_path == "/models/digits" and found["digits"].model_platform == "tensorflow"
    assert list(found["digits"].model_version_policy.specific.versions) == [1, 10]
    assert dict(found["digits"].version_labels) == {"stable": 1, "canary": 10}
    assert dict(found["flowers"].version_labels) == {"stable": 7}


def test_labels_and_policies_have_sensible_defaults(models, tmp_path):
    assert [one.labels for one in find_models(models)] == [{"stable": 2, "canary": 10}, {"stable": 7}]
    for policy in ("latest", "all"):
        write_config(models, tmp_path / policy, policy=policy)
        chosen = served(tmp_path / policy / "models.config")["digits"].model_version_policy
        assert chosen.WhichOneof("policy_choice") == policy
    assert (
        served(tmp_path / "latest" / "models.config")["digits"].model_version_policy.latest.num_versions == 2
    )


def test_batching_monitoring_and_tls_are_what_the_server_parses(models, tmp_path):
    for name in ("key", "certificate", "authority"):
        (tmp_path / name).write_text(f'-----BEGIN {name}-----\nAAAA/+="\\\n-----END {name}-----\n')
    files = [tmp_path / name for name in ("key", "certificate", "authority")]
    out = tmp_path / "out"
    write_config(models, out, tls=files, batch_size=24, batch_timeout_ms=1.5, cpus=3)
    batching = text_format.Parse((out / "batching.config").read_text(), message("BatchingParameters"))
    assert (batching.max_batch_size.value, batching.batch_timeout_micros.value) == (24, 1500)
    assert list(batching.allowed_batch_sizes) == [1, 2, 4, 8, 16, 24], "the last one is the largest batch"
    assert batching.num_batch_threads.value == 3 and batching.max_enqueued_batches.value == 150
    monitoring = text_format.Parse((out / "monitoring.config").read_text(), message("MonitoringConfig"))
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"
    tls = text_format.Parse((out / "ssl.config").read_text(), message("SSLConfig"))
    assert [tls.server_key, tls.server_cert, tls.custom_ca] == [file.read_text() for file in files]
    assert tls.client_verify and (out / "ssl.config").stat().st_mode & 0o077 == 0, (
        "a key is for its owner only"
    )
    assert "BEGIN key" not in (out / "kubernetes.yaml").read_text(), "no key in a manifest"


@pytest.mark.parametrize("tls", [False, True])
def test_docker_compose_mounts_every_file_where_the_arguments_point(models, tmp_path, tls):
    (tmp_path / "pem").write_text("-----BEGIN X-----\n")
    out = tmp_path / "out"
    write_config(models, out, tls=[tmp_path / "pem"] * 2 if tls else None, memory_mb=512)
    service = yaml.safe_load((out / "docker-compose.yaml").read_text())["services"]["serving"]
    mounts = dict(reversed(volume.removesuffix(":ro").split(":")) for volume in service["volumes"])
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert (out / mounts["/models"]).resolve() == models.resolve()
    wanted = [argument.split("=")[1] for argument in service["entrypoint"] if "_file=" in argument]
    assert len(wanted) == 3 + tls
    assert all((out / mounts[file]).is_file() for file in wanted)
    ports = {port.rsplit(":", 1)[1] for port in service["ports"]}
    assert {f"--port={manifests.GRPC_PORT}", f"--rest_api_port={manifests.REST_PORT}"} < set(
        service["entrypoint"]
    )
    assert ports == {"8500", "8501"} and all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["deploy"]["resources"]["limits"] == {"cpus": "2", "memory": "512M"}
    asked = yaml.safe_load((out / "prometheus.yaml").read_text())["scrape_configs"][0]
    assert asked["static_configs"][0]["targets"] == ["serving:8501"]
    assert asked["metrics_path"] == "/monitoring/prometheus/metrics"


@pytest.mark.parametrize("storage", ["claim", "gs://bucket/models/"])
def test_kubernetes_objects_fit_together(models, tmp_path, storage):
    out = tmp_path / "out"
    (tmp_path / "pem").write_text("-----BEGIN X-----\n")
    write_config(models, out, tls=[tmp_path / "pem"] * 2, storage=storage, replicas=(3, 5), cpus=4)
    documents, pod = pod_of(out)
    assert set(documents) == {
        *("ConfigMap", "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
    }
    deployment, (container,) = documents["Deployment"], pod["containers"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        documents["Service"]["spec"]["selector"],
        documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {port["targetPort"] for port in documents["Service"]["spec"]["ports"]} == set(ports)
    for probe, path in (
        ("startupProbe", "/v1/models/digits"),
        ("readinessProbe", "/v1/models/digits/metadata"),
    ):
        assert container[probe]["httpGet"] == {"path": path, "port": "rest"}
    assert container["livenessProbe"]["tcpSocket"]["port"] in ports
    assert container["resources"]["limits"]["cpu"] == container["resources"]["requests"]["cpu"] == "4"
    drain = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > drain + 20

    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    assert mounts["/config"]["configMap"]["name"] == documents["ConfigMap"]["metadata"]["name"]
    held = {f"/config/{name}" for name in documents["ConfigMap"]["data"]} | {"/tls/ssl.config"}
    wanted = {argument.split("=")[1] for argument in container["command"] if "_file=" in argument}
    assert wanted <= held and mounts["/tls"]["secret"]["secretName"]
    paths = served(write(tmp_path / "given", documents["ConfigMap"]["data"]["models.config"]))
    if storage == "claim":
        assert mounts["/models"]["persistentVolumeClaim"]["claimName"] == "claim"
        assert paths["digits"].base_path == "/models/digits"
    else:
        assert "/models" not in mounts and paths["digits"].base_path == "gs://bucket/models/digits"

    scaler = documents["HorizontalPodAutoscaler"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 5) and "replicas" not in deployment["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "8501"


def write(path, text):
    path.write_text(text)
    return path


def test_servers_restart_for_other_batching_but_not_for_a_new_version(models, tmp_path):
    marks = []
    for batch_size, more in ((32, ()), (32, (11,)), (64, ())):
        publish_fakes(models, digits=more)
        write_config(models, tmp_path / "out", batch_size=batch_size)
        template = pod_of(tmp_path / "out")[0]["Deployment"]["spec"]["template"]
        marks.append(template["metadata"]["annotations"]["kzoo/config"])
    assert marks[0] == marks[1] != marks[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(labels={"digits": {"stable": 3}}), "stable=3"),
        (dict(labels={"digitz": {"stable": 1}}), "digitz"),
        (dict(labels={"digits": {}}), "no label"),
        (dict(labels={"digits": {"stable": 1}}, policy="latest"), "serves 2, 10 only"),
        (dict(policy="newest"), "labelled, latest, all"),
        (dict(batch_size=0), "above 0"),
        (dict(replicas=(3, 2)), "fewest"),
    ],
)
def test_what_cannot_be_served_is_refused(models, tmp_path, options, words):
    with pytest.raises(ValueError, match=rf"(?s){words}.*Received|Received.*{words}"):
        write_config(models, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_no_models_and_no_keys_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        write_config(tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="kzoo publish"):
        write_config(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "der").write_text("no pem")
    with pytest.raises(ValueError, match="in PEM"):
        config.ssl_config(tmp_path / "der", tmp_path / "der")


def test_the_command_takes_labels_and_names_its_files(models, tmp_path, capsys):
    command = argparse.ArgumentParser()
    run = config.add(command)
    given = [str(models), str(tmp_path / "out"), "--label", "digits:stable=1", "--label", "digits:next=2"]
    assert not run(command.parse_args(given))
    assert dict(served(tmp_path / "out" / "models.config")["digits"].version_labels) == {
        "stable": 1,
        "next": 2,
    }
    assert "kubernetes.yaml" in capsys.readouterr().out.replace("\n", "")
    with pytest.raises(ValueError, match="MODEL:LABEL=VERSION"):
        parse_labels(["digits=1"])


def test_the_example_in_the_repository_is_what_the_command_writes(tmp_path):
    models = publish_fakes(tmp_path / "serving" / "models", digits=(1, 2))
    for file in write_config(models, tmp_path / "serving" / "example"):
        kept = SERVING / "example" / file.name
        assert kept.read_text() == file.read_text(), f"make it again: see serving/README.md ({kept})"
    assert {path.name for path in (SERVING / "example").iterdir()} == {
        path.name for path in (tmp_path / "serving" / "example").iterdir()
    }
