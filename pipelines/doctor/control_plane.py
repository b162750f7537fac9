"""What an environment's cluster is and holds, asked of the Kubernetes API with its operator's kubeconfig."""

from collections.abc import Iterator
from typing import Any

import yaml

from components.errors import StepError
from components.train.config import TrainConfig
from pipelines.doctor.finding import Finding
from pipelines.environment import Environment

OLDEST = (2, 17)  # of Kubeflow Pipelines: the first server that reads every field that compile writes
PATIENCE = 5.0  # seconds that the API server gets to answer
PAGE = "docs/how-to/kubeflow.md"
_TRAINER = "trainer.kubeflow.org"


def kubernetes_client() -> Any:
    """A client with the kubeconfig of this machine."""
    import kubernetes

    try:
        kubernetes.config.load_config()
    except kubernetes.config.ConfigException:
        raise StepError("no kubeconfig here, so the cluster could not be asked") from None
    return kubernetes.client.ApiClient()


def version(environment: Environment, client: Any) -> Finding:
    """Of Kubeflow Pipelines, by the image that its API server runs."""
    import kubernetes

    namespace = environment.service.system_namespace
    found = kubernetes.client.AppsV1Api(client).read_namespaced_deployment(
        "ml-pipeline", namespace, _request_timeout=PATIENCE
    )
    tag = found.spec.template.spec.containers[0].image.rpartition(":")[2]
    parts = tag.lstrip("v").split(".")
    if len(parts) < 2 or not all(part.isdigit() for part in parts[:2]):
        return Finding("version", "warning", f"Kubeflow Pipelines runs the image tag {tag}", f"it must be {_oldest()}")
    if tuple(int(part) for part in parts[:2]) < OLDEST:
        return Finding(
            "version",
            "error",
            f"Kubeflow Pipelines {tag}",
            f"upgrade to {_oldest()}: older ones refuse "
            "the time limits and security contexts that the pipeline is compiled with",
        )
    return Finding("version", "ok", f"Kubeflow Pipelines {tag}")


def _oldest() -> str:
    return f"{'.'.join(map(str, OLDEST))} or later"


def controller(environment: Environment, client: Any) -> Finding:
    """The workflow controller's defaults, which Argo merges into every run (kubeflow/pipelines 2.17.0,
    manifests/kustomize/third-party/argo/base/workflow-controller-configmap-patch.yaml:48-59)."""
    import kubernetes

    namespace = environment.service.system_namespace
    data = (
        kubernetes.client.CoreV1Api(client)
        .read_namespaced_config_map("workflow-controller-configmap", namespace, _request_timeout=PATIENCE)
        .data
    )
    defaults = yaml.safe_load((data or {}).get("workflowDefaults") or "{}").get("spec", {})
    policy = defaults.get("templateDefaults", {}).get("retryStrategy", {}).get("retryPolicy", "OnFailure")
    archived = bool(yaml.safe_load((data or {}).get("artifactRepository") or "{}").get("archiveLogs"))
    logs = "logs are archived" if archived else "logs end with their pods"
    found = f"steps are retried {policy}; {logs}"
    if policy != "Always":
        return Finding(
            "controller",
            "error",
            f"{found}: a step that crashes, runs out of memory or is evicted is not tried again",
            f"set retryPolicy: Always in ConfigMap workflow-controller-configmap of {namespace} ({PAGE}#retries)",
        )
    return Finding("controller", "ok", found)


def user(environment: Environment, client: Any) -> Finding:
    """An administrator's user for all steps wins over the pipeline's own: kubeflow/pipelines 2.17.0,
    manifests/kustomize/base/pipeline/ml-pipeline-apiserver-deployment.yaml:224-235 and
    backend/src/v2/driver/k8s.go:756-758.
    """
    import kubernetes

    name, namespace = "pipeline-install-config", environment.service.system_namespace
    found = kubernetes.client.CoreV1Api(client).read_namespaced_config_map(name, namespace, _request_timeout=PATIENCE)
    for kind in ("User", "Group"):
        key = f"defaultSecurityContextRunAs{kind}"
        given = (found.data or {}).get(key) or str(environment.user_id)
        if given != str(environment.user_id):
            return Finding(
                "user",
                "error",
                f"{key} = {given} in ConfigMap {name} of {namespace}: the steps run so, and not as the image's user "
                f"{environment.user_id}, who owns the workspace",
                f"remove it there, or build images and a workspace for {given} and set user_id",
            )
    return Finding("user", "ok", f"the steps run as user {environment.user_id}")


def namespace(environment: Environment, client: Any) -> Finding:
    """The labels that Kubeflow's network policies ask for, and every name that the pods refer to."""
    import kubernetes

    core, service = kubernetes.client.CoreV1Api(client), environment.service
    found = core.read_namespace(service.namespace, _request_timeout=PATIENCE)
    labels = found.metadata.labels or {}
    if service.mode == "multi-user" and labels.get("app.kubernetes.io/part-of") != "kubeflow-profile":
        return Finding(
            "namespace",
            "error",
            f"{service.namespace} was not made by a Profile: Kubeflow's network policies shut it out",
            f"kubectl apply -f infra/k8s/overlays/{environment.name}/profile.yaml ({PAGE}#the-namespace)",
        )
    maps = {
        m.metadata.name for m in core.list_namespaced_config_map(service.namespace, _request_timeout=PATIENCE).items
    }
    secrets = {s.metadata.name for s in core.list_namespaced_secret(service.namespace, _request_timeout=PATIENCE).items}
    missing = [f"config map {name}" for name in _config_maps(environment) if name not in maps]
    missing += [f"secret {name}" for name in _secrets(environment) if name not in secrets]
    if missing:
        return Finding(
            "namespace",
            "error",
            f"{service.namespace} lacks {', '.join(missing)}",
            f"{PAGE} says how each is made; those of Kubeflow come from its Profile controller",
        )
    return Finding("namespace", "ok", f"{service.namespace} has every label, config map and secret that runs need")


def _config_maps(environment: Environment) -> Iterator[str]:
    yield from ("kfp-launcher", "metadata-grpc-configmap")
    if environment.service.mode == "multi-user":
        yield "artifact-repositories"  # without it, archiving the logs hangs the pods
    if environment.certificates:
        yield environment.certificates.config_map


def _secrets(environment: Environment) -> Iterator[str]:
    yield "mlpipeline-minio-artifact"
    yield from dict.fromkeys(secret.secret for secret in environment.secrets if not secret.optional)
    yield from environment.image_pull_secrets
    if environment.git:
        yield environment.git.secret


def queue(environment: Environment, client: Any) -> Finding:
    """A LocalQueue named `default` captures everything in its namespace (kubernetes-sigs/kueue 0.19.0,
    pkg/controller/jobframework/defaults.go:49-64, pkg/controller/jobs/pod/pod_webhook.go:152-158)."""
    import kubernetes

    space = environment.service.namespace
    try:
        found = kubernetes.client.CustomObjectsApi(client).list_namespaced_custom_object(
            "kueue.x-k8s.io", "v1beta2", space, "localqueues", _request_timeout=PATIENCE
        )
    except kubernetes.client.ApiException as error:
        if error.status != 404:
            raise
        return Finding("queue", "ok", "no Kueue here: a TrainJob with train.queue= (empty) starts at once")
    names = sorted(item["metadata"]["name"] for item in found["items"])
    if "default" in names:
        return Finding(
            "queue",
            "error",
            f"{space} has a LocalQueue named default: every pod, job and deployment there waits in it",
            "rename it, and name it with train.queue where it is meant",
        )
    wanted = TrainConfig().queue
    if environment.training == "trainjob" and wanted not in names:
        return Finding(
            "queue",
            "error",
            f"{space} has no LocalQueue {wanted}: Kueue would let a TrainJob wait in it for ever",
            f"kubectl apply -k infra/k8s/overlays/{environment.name}, or start runs with train.queue= (empty)",
        )
    return Finding("queue", "ok", f"queues in {space}: {', '.join(names) or 'none'}")


def runtime(environment: Environment, client: Any) -> Finding:
    """What the pods of a TrainJob are; only training in a TrainJob of its own needs it."""
    import kubernetes

    if environment.training == "step":
        return Finding("runtime", "ok", "trainings run in the pod of the step and need no ClusterTrainingRuntime")
    try:
        kubernetes.client.CustomObjectsApi(client).get_cluster_custom_object(
            _TRAINER, "v1alpha1", "clustertrainingruntimes", "mmctr", _request_timeout=PATIENCE
        )
    except kubernetes.client.ApiException as error:
        if error.status != 404:
            raise
        return Finding(
            "runtime",
            "error",
            "training in a TrainJob needs a ClusterTrainingRuntime mmctr; there is none",
            f"install Kubeflow Trainer, then kubectl apply -k infra/k8s/overlays/{environment.name}",
        )
    return Finding("runtime", "ok", "the ClusterTrainingRuntime mmctr is there")


def accounts(environment: Environment, client: Any) -> Finding:
    """May the steps' account do what a TrainJob needs?

    The Kubeflow SDK 0.5.0 asks for the namespaced runtime first, and only "not found" makes it look further
    (kubeflow/trainer/backends/kubernetes/backend.py, get_runtime).
    """
    import kubernetes

    service = environment.service
    user = f"system:serviceaccount:{service.namespace}:{service.service_account}"
    api, refused = kubernetes.client.AuthorizationV1Api(client), []
    wanted = [
        (_TRAINER, "trainingruntimes", "get"),
        (_TRAINER, "clustertrainingruntimes", "get"),
        (_TRAINER, "trainjobs", "create"),
        ("argoproj.io", "workflowtaskresults", "create"),
    ]
    for group, resource, verb in wanted:
        space = None if resource == "clustertrainingruntimes" else service.namespace
        attributes = {"group": group, "resource": resource, "verb": verb, "namespace": space}
        review = {"spec": {"user": user, "resourceAttributes": {k: v for k, v in attributes.items() if v}}}
        if not api.create_subject_access_review(review, _request_timeout=PATIENCE).status.allowed:
            refused.append(f"{verb} {resource}")
    if refused:
        return Finding(
            "accounts",
            "error",
            f"{user} may not {', '.join(refused)}",
            f"kubectl apply -k infra/k8s/overlays/{environment.name}",
        )
    return Finding("accounts", "ok", f"{user} may do what the steps need")
