"""Each check of a cluster says ok when all is as documented, and names the remedy for each thing that is not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.access import Certificates, Git
from pipelines.doctor import Finding, control_plane
from pipelines.doctor.probe import probe, probe_pod
from pipelines.environment import Environment, load_environment
from tests.services.argo import SHIPPED
from tests.services.kubernetes_api import INSTALLED_WITH, PROFILE, SPACE, KubernetesApi, kubernetes_api, listed

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def environment() -> Environment:
    return load_environment("prod", REPOSITORY / "infra/environments")


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with kubernetes_api() as standing_in:
        yield standing_in


def impatient(environment: Environment, client: Any) -> Finding:
    return probe(environment, client, wait=lambda _: None, seconds=4.0)


CHECKS = [
    control_plane.version,
    control_plane.controller,
    control_plane.user,
    control_plane.namespace,
    control_plane.queue,
    control_plane.accounts,
    control_plane.runtime,
    impatient,
]


@pytest.mark.parametrize("check", CHECKS)
def test_a_cluster_as_documented_is_ok(
    check: Callable[[Environment, Any], Finding], environment: Environment, api: KubernetesApi
) -> None:
    assert check(environment, api.client()).level == "ok"
    assert list(api.pods) == []


def server(tag: str) -> Callable[[KubernetesApi], None]:
    def change(api: KubernetesApi) -> None:
        deployment = api.objects["/apis/apps/v1/namespaces/kubeflow/deployments/ml-pipeline"]
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = f"kfp-api-server:{tag}"

    return change


def without(path: str) -> Callable[[KubernetesApi], None]:
    return lambda api: api.objects.__delitem__(path)


def put(path: str, value: dict[str, Any]) -> Callable[[KubernetesApi], None]:
    return lambda api: api.objects.__setitem__(path, value)


def attribute(name: str, value: Any) -> Callable[[KubernetesApi], None]:
    return lambda api: setattr(api, name, value)


QUEUES = "/apis/kueue.x-k8s.io/v1beta2/namespaces/mmctr-prod/localqueues"
RUNTIME = "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes/mmctr"
NOT_WRITTEN = "touch: cannot touch '/workspace/.mmctr-doctor': Permission denied\nread repository\n"
NOT_READ = "written /workspace\nfatal: Authentication failed for 'https://git.example.com/'\n"
BROKEN: list[tuple[str, Callable[[KubernetesApi], None], Any, str, str, str]] = [
    ("an old server", server("2.16.1"), control_plane.version, "error", "2.16.1", "2.17 or later"),
    ("a nightly build", server("master"), control_plane.version, "warning", "master", "2.17 or later"),
    (
        "kubeflow's own retry policy",
        lambda api: api.set_controller(SHIPPED),
        control_plane.controller,
        "error",
        "OnError",
        "retryPolicy: Always",
    ),
    (
        "no profile",
        put(SPACE, {"metadata": {"name": "mmctr-prod"}}),
        control_plane.namespace,
        "error",
        "not made by a Profile",
        "overlays/prod/profile.yaml",
    ),
    (
        "an overwritten label",
        put(SPACE, {"metadata": {"labels": {**PROFILE, "app.kubernetes.io/part-of": "mmctr"}}}),
        control_plane.namespace,
        "error",
        "not made by a Profile",
        "profile.yaml",
    ),
    (
        "no artifact repository",
        put(f"{SPACE}/configmaps", listed("kfp-launcher", "metadata-grpc-configmap")),
        control_plane.namespace,
        "error",
        "config map artifact-repositories",
        "Profile controller",
    ),
    (
        "no store credentials",
        put(f"{SPACE}/secrets", listed("mmctr-s3", "mmctr-mlflow-trainer")),
        control_plane.namespace,
        "error",
        "secret mlpipeline-minio-artifact",
        "says how each is made",
    ),
    (
        "a queue for everything",
        put(QUEUES, listed("default", "mmctr-training")),
        control_plane.queue,
        "error",
        "LocalQueue named default",
        "rename it",
    ),
    (
        "no queue for trainings",
        put(QUEUES, listed("others")),
        control_plane.queue,
        "error",
        "no LocalQueue mmctr-training",
        "kubectl apply -k infra/k8s/overlays/prod",
    ),
    (
        "a user for all steps",
        put(INSTALLED_WITH, {"data": {"defaultSecurityContextRunAsUser": "1000"}}),
        control_plane.user,
        "error",
        "defaultSecurityContextRunAsUser = 1000",
        "remove it there",
    ),
    ("no kueue", without(QUEUES), control_plane.queue, "ok", "no Kueue here", ""),
    (
        "no namespaced runtimes",
        attribute("refused", {"get trainingruntimes"}),
        control_plane.accounts,
        "error",
        "may not get trainingruntimes",
        "kubectl apply -k infra/k8s/overlays/prod",
    ),
    (
        "no runtime",
        without(RUNTIME),
        control_plane.runtime,
        "error",
        "needs a ClusterTrainingRuntime mmctr; there is none",
        "Kubeflow Trainer",
    ),
    (
        "a volume of root's",
        attribute("log", NOT_WRITTEN),
        impatient,
        "error",
        "user 10001 can't write to /workspace",
        "run the job that prepares it",
    ),
    (
        "a private repository",
        attribute("log", NOT_READ),
        impatient,
        "error",
        "Authentication failed",
        "git and certificates",
    ),
    (
        "an image that does not arrive",
        lambda api: api.__dict__.update(phase="Pending", waiting={"reason": "ImagePullBackOff", "message": "denied"}),
        impatient,
        "error",
        "ImagePullBackOff: denied",
        "image_pull_secrets",
    ),
]


@pytest.mark.parametrize(
    ("change", "check", "level", "found", "remedy"), [c[1:] for c in BROKEN], ids=[c[0] for c in BROKEN]
)
def test_what_is_not_as_documented_is_named_with_its_remedy(
    change: Callable[[KubernetesApi], None],
    check: Callable[[Environment, Any], Finding],
    level: str,
    found: str,
    remedy: str,
    environment: Environment,
    api: KubernetesApi,
) -> None:
    change(api)
    finding = check(environment, api.client())
    assert finding.level == level
    assert found in finding.found
    assert remedy in finding.remedy
    assert list(api.pods) == [], "the probe's pod was left behind"


def test_without_trainjobs_no_runtime_is_asked_for(environment: Environment, api: KubernetesApi) -> None:
    del api.objects[RUNTIME]
    assert control_plane.runtime(replace(environment, training="step"), api.client()).level == "ok"


def test_the_probe_has_what_a_step_has_and_no_group_of_the_volume(environment: Environment) -> None:
    """Kubeflow Pipelines 2.17.0 sets no fsGroup on a step's pod (nothing in backend/src/v2/driver/k8s.go does)."""
    private = replace(environment, image_pull_secrets=("login",), git=Git("git"), certificates=Certificates("ca"))
    pod = probe_pod(private, "mmctr-doctor-1")
    assert pod["spec"]["securityContext"]["runAsUser"] == private.user_id
    assert "fsGroup" not in pod["spec"]["securityContext"]
    assert pod["spec"]["imagePullSecrets"] == [{"name": "login"}]
    paths = {mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    assert paths == {"/scratch", "/workspace", "/etc/mmctr/git", "/etc/mmctr/certificates"}
    assert pod["metadata"]["labels"] == {"mmctr.io/owned": "true"}
