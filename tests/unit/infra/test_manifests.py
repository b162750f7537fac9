"""The overlays are what a cluster would take, and fit what runs in the pods and what the documents say of them."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import typer
import yaml

from components.serve.follow import Follower
from components.serve.limits import Queue
from components.serve.metrics import Metrics
from components.serve.run import ServeConfig
from components.train.config import TrainConfig
from infra.check.__main__ import errors_of
from infra.check.build import K8S, OVERLAYS, build_with, title
from infra.check.policies import containers
from infra.check.schemas import schema_errors
from pipelines.cli.predict import predict
from pipelines.cli.serve import serve
from pipelines.environment import load_environment
from tests.unit.infra.overlays import Objects, find

OURS: dict[str, Callable[..., None]] = {"predict": predict, "serve": serve}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_without_error(built: dict[str, Objects], overlay: str) -> None:
    assert errors_of(built[overlay]) == []


def test_the_trainjob_by_hand_is_without_error_and_stands_in_the_queue() -> None:
    job = yaml.safe_load((K8S / "trainjob.yaml").read_text())
    assert errors_of([job]) == []
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == TrainConfig().queue


def test_the_profile_is_without_error_and_makes_the_namespace_of_its_environment() -> None:
    profile = yaml.safe_load((K8S / "overlays/prod/profile.yaml").read_text())
    assert errors_of([profile]) == []
    assert profile["metadata"]["name"] == load_environment("prod", K8S.parent / "environments").service.namespace


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_for_the_namespace_of_its_environment(built: dict[str, Objects], overlay: str) -> None:
    """A single-user Kubeflow Pipelines 2.17.0 starts every workflow in its own namespace:
    backend/src/apiserver/resource/resource_manager.go:676-681 and 2456-2462."""
    namespace = load_environment(overlay, K8S.parent / "environments").service.namespace
    assert {m["metadata"]["namespace"] for m in built[overlay] if "namespace" in m["metadata"]} == {namespace}
    for queue in (m for m in built[overlay] if m["kind"] == "ClusterQueue"):
        assert queue["spec"]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": namespace}


def test_the_submitter_may_do_what_kubeflows_editor_may(built: dict[str, Objects]) -> None:
    """Kubeflow Pipelines 2.17.0, manifests/kustomize/base/installs/multi-user/view-edit-cluster-roles.yaml."""
    rules = find(built["prod"], "Role mmctr-submitter")["rules"]
    allowed = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert {
        ("pipelines", "create"),
        ("pipelineversions", "create"),
        ("experiments", "create"),
        ("experiments", "list"),
        ("runs", "create"),
        ("runs", "get"),
        ("runs", "terminate"),
        ("jobs", "create"),
        ("jobs", "delete"),
        ("jobs", "disable"),
        ("jobs", "enable"),
    } <= allowed


def test_one_machine_needs_nothing_but_kubeflow_pipelines(built: dict[str, Objects]) -> None:
    groups = {m["apiVersion"].rpartition("/")[0] for m in built["dev"]}
    assert groups <= {"", "apps", "batch", "policy", "networking.k8s.io", "rbac.authorization.k8s.io"}


KIND = (950, 290)  # what the pods of kind's control plane ask for: thousandths of a core, MiB
# Of Kubeflow Pipelines 2.17.0, env/platform-agnostic of its manifests, and of a driver
# (backend/src/v2/compiler/argocompiler/argo.go:555-564), which runs before each step.
KUBEFLOW, DRIVER = (674, 3126), (100, 64)


def test_one_machine_with_two_cores_and_8_gb_holds_everything_and_a_step(built: dict[str, Objects]) -> None:
    """Kubernetes starts a pod only where all that the pods ask for fits; a step that does not fit waits for ever."""
    ours = [
        parsed(container["resources"]["requests"]["cpu"], container["resources"]["requests"]["memory"])
        for m in built["dev"]
        if m["kind"] in ("Deployment", "StatefulSet")
        for container in m["spec"]["template"]["spec"]["containers"]
    ]
    groups = load_environment("dev", K8S.parent / "environments").resources
    steps = [parsed(group.cpu_request or group.cpu, group.memory) for group in groups]
    processor, memory = map(sum, zip(KIND, KUBEFLOW, DRIVER, *ours, max(steps), strict=True))
    assert len(ours) == 3
    assert processor <= 2000
    assert memory <= 8e9 / 2**20


def parsed(processor: str, memory: str) -> tuple[int, int]:
    """Thousandths of a core, and MiB."""
    thousandths = int(processor.removesuffix("m")) if processor.endswith("m") else 1000 * int(processor)
    return thousandths, int(memory[:-2]) * {"Mi": 1, "Gi": 1024}[memory[-2:]]


def test_the_prod_overlay_has_every_object_that_is_needed(built: dict[str, Objects]) -> None:
    names = {(m["kind"], m["metadata"]["name"]) for m in built["prod"]}
    assert {
        ("Deployment", "mlflow"),
        ("PodDisruptionBudget", "mlflow"),
        ("NetworkPolicy", "mlflow"),
        ("Role", "mmctr-trainer"),
        ("Role", "mmctr-rollout"),
        ("Role", "mmctr-reader"),
        ("ClusterQueue", "mmctr"),
        ("LocalQueue", "mmctr-training"),
        ("Job", "mmctr-workspace"),
        ("Role", "mmctr-submitter"),
        ("ClusterTrainingRuntime", "mmctr"),
        ("InferenceService", "mmctr"),
        ("CronJob", "mmctr-batch"),
        ("CronJob", "mlflow-backup"),
        ("PrometheusRule", "mmctr"),
        ("CronJob", "mmctr-rollout"),
        ("CronJob", "mmctr-night"),
        ("Job", "mlflow-migrate"),
        ("Ingress", "mlflow"),
    } <= names


def test_torchrun_ends_its_processes_before_kubernetes_ends_torchrun(built: dict[str, Objects]) -> None:
    (runtime,) = [found for found in built["prod"] if found["kind"] == "ClusterTrainingRuntime"]
    pod = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    variables = {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}
    assert 30 < int(variables["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]) < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_jobs_that_read_the_champion_check_the_log_as_the_steps_do(built: dict[str, Objects], overlay: str) -> None:
    """Without the address of the proofs, or without the keys to read them, a log that was replaced goes unnoticed."""
    environment = load_environment(overlay, K8S.parent / "environments")
    plain = {variable.name: variable.value for variable in environment.variables}
    secret = {secret.variable: (secret.secret, secret.key) for secret in environment.secrets}
    readers = [
        container
        for manifest in built[overlay]
        if title(manifest) in ("CronJob mmctr-batch", "CronJob mmctr-rollout", "InferenceService mmctr")
        for _, container, _ in containers(manifest)
    ]
    assert len(readers) == (3 if overlay == "prod" else 1)
    for container in readers:
        given = {variable["name"]: variable for variable in container["env"]}
        assert given["MMCTR_DECISIONS_ANCHOR"]["value"] == plain["MMCTR_DECISIONS_ANCHOR"]
        assert ("AWS_ENDPOINT_URL_S3" in given) == ("AWS_ENDPOINT_URL_S3" in plain)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            found = given[name]["valueFrom"]["secretKeyRef"]
            assert (found["name"], found["key"]) == secret[name]


def test_serving_pins_a_version_keeps_its_pods_and_is_measured(built: dict[str, Objects]) -> None:
    """KServe 0.19.0 calls raw deployments Standard: it rewrites the old name while an object is made
    (pkg/apis/serving/v1beta1/inference_service_defaults.go:164-169), so `kubectl diff` would never be empty, and holds
    changes against the new one (inference_service_validation.go:586-597). It refuses PYTHONPATH
    (pkg/validation/env_policy.go:25)."""
    service = find(built["prod"], "InferenceService mmctr")
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    predictor = service["spec"]["predictor"]
    (container,) = predictor["containers"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert "PYTHONPATH" not in variables
    assert variables["MODEL_VERSION"] == "0"
    assert "--version=$(MODEL_VERSION)" in container["command"]
    assert not [word for word in container["command"] if word.startswith("--alias")]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
    assert predictor["deploymentStrategy"]["rollingUpdate"]["maxUnavailable"] == 0

    budget = find(built["prod"], "PodDisruptionBudget mmctr-serving")["spec"]
    assert budget["maxUnavailable"] < predictor["minReplicas"]
    monitor = find(built["prod"], "PodMonitor mmctr-serving")["spec"]
    policy = find(built["prod"], "NetworkPolicy serving")["spec"]
    assert budget["selector"] == monitor["selector"] == policy["podSelector"]
    (port,) = container["ports"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    annotations = predictor["annotations"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    assert annotations["prometheus.io/path"] == endpoint["path"]


def test_serving_can_scale_by_the_requests_that_wait() -> None:
    """KServe makes a ScaledObject of `autoScaling` for this class alone, takes an external target's `value` as the
    threshold, and leaves KEDA's metric type, which is the average of the pods (pkg/controller/v1beta1/inferenceservice/
    reconcilers/keda/keda_reconciler.go)."""
    served = Metrics(Follower(None, "champion", None, 1.0), Queue(32, 60.0)).text().decode()  # type: ignore[arg-type]
    (service,) = [manifest for manifest in build_with("scale-by-queue") if manifest["kind"] == "InferenceService"]
    assert schema_errors(service) == []
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "keda"
    predictor = service["spec"]["predictor"]
    assert not {"scaleTarget", "scaleMetric"} & set(predictor)
    (external,) = [metric["external"] for metric in predictor["autoScaling"]["metrics"] if metric["type"] == "External"]
    (name,) = re.findall(r"sum\((\w+)\{", external["metric"]["query"])
    assert f"\n{name} 0.0" in served
    assert service["metadata"]["namespace"] in external["metric"]["query"]
    assert 1 < int(external["target"]["value"]) < ServeConfig().waiting


def test_serving_cannot_be_reached_from_outside_the_cluster(built: dict[str, Objects]) -> None:
    """KServe 0.19.0 makes an Ingress for every service without this label: pkg/controller/v1beta1/inferenceservice/
    reconcilers/ingress/kube_ingress_reconciler.go:65-71 and 105."""
    service = find(built["prod"], "InferenceService mmctr")
    assert service["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"


def test_a_serving_pod_has_time_to_answer_what_has_begun(built: dict[str, Objects]) -> None:
    predictor = find(built["prod"], "InferenceService mmctr")["spec"]["predictor"]
    (container,) = predictor["containers"]
    (drain,) = [int(word.partition("=")[2]) for word in container["command"] if word.startswith("--drain=")]
    asleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert asleep + drain < predictor["terminationGracePeriodSeconds"]


def test_every_alert_names_a_page_that_is_there(built: dict[str, Objects]) -> None:
    rules = find(built["prod"], "PrometheusRule mmctr")["spec"]["groups"][0]["rules"]
    headings = {
        line.lstrip("# ").strip().lower().replace(" ", "-").replace("'", "")
        for line in (K8S.parents[1] / "docs/how-to/recover.md").read_text().splitlines()
        if line.startswith("#")
    }
    for rule in rules:
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert file == "docs/how-to/recover.md"
        assert anchor in headings, rule["alert"]


def test_the_account_of_the_pipeline_makes_training_jobs_and_nothing_else(built: dict[str, Objects]) -> None:
    role = find(built["prod"], "Role mmctr-trainer")
    writes = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in ("get", "list", "watch")
    }
    assert writes == {
        ("trainjobs", "create"),
        ("trainjobs", "delete"),
        ("trainjobs", "patch"),
        ("workflowtaskresults", "create"),
        ("workflowtaskresults", "patch"),
    }


def options_of(words: list[str]) -> set[str]:
    """The options that a command of ours or of MLflow's knows."""
    if words[0] == "mmctr":
        alone = typer.Typer()
        alone.command()(OURS[words[1]])
        command: Any = typer.main.get_command(alone)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # MLflow's about its own type hints
            from mlflow.cli import cli

        command = cli
    for word in words[1:]:
        if not hasattr(command, "commands"):
            break
        command = command.commands[word]
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("of", ["Deployment mlflow", "InferenceService mmctr", "CronJob mmctr-batch"])
def test_the_commands_of_the_pods_have_the_options_they_are_given(built: dict[str, Objects], of: str) -> None:
    for where, container, _ in containers(find(built["prod"], of)):
        if container["command"][0] == "python3":
            assert "container tables" in where
            continue
        given = {word.partition("=")[0] for word in container["command"] if word.startswith("--")}
        assert given
        assert given <= options_of([word for word in container["command"] if not word.startswith("--")])
