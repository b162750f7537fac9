"""An environment's cluster: images, Kubeflow Pipelines, Kubeflow Trainer."""

from typing import Any

from pipelines.doctor.finding import Finding
from pipelines.environment import Environment

_PATIENCE = 5.0  # seconds that the API server gets to answer


def images(environment: Environment) -> Finding:
    unbuilt = environment.images.unbuilt()
    if unbuilt:
        return Finding(
            "images",
            "warning",
            f"no digest yet for {' and '.join(unbuilt)} in {environment.name}",
            "`make images`, push, then give `--images dist/images.json` or run infra/images/pin.py",
        )
    return Finding("images", "ok", f"{environment.images.cpu}, {environment.images.gpu}")


def pipelines(environment: Environment) -> Finding:
    from pipelines.kubeflow import Kubeflow

    service = environment.service
    try:
        kubeflow = Kubeflow(service, tries=1, wait=lambda _: None)
        kubeflow.healthy()
        kubeflow.may_list()
    except Exception as error:  # noqa: BLE001 (kfp raises many kinds; all mean that runs can't be sent)
        return Finding(
            "Pipelines",
            "error",
            " ".join(str(error).split())[:200],
            f"is {service.host} forwarded, is MMCTR_KFP_TOKEN set, may we use {service.namespace}?",
        )
    return Finding("Pipelines", "ok", f"{service.host} lets us into {service.namespace}")


def trainer(environment: Environment, api: Any = None) -> Finding:
    """The runtime is there, and we may list TrainJobs; only when steps train in a TrainJob of their own."""
    import kubernetes

    group, version, namespace = "trainer.kubeflow.org", "v1alpha1", environment.service.namespace
    try:
        if api is None:
            kubernetes.config.load_config()
            api = kubernetes.client.CustomObjectsApi()
        api.get_cluster_custom_object(group, version, "clustertrainingruntimes", "mmctr", _request_timeout=_PATIENCE)
        api.list_namespaced_custom_object(group, version, namespace, "trainjobs", _request_timeout=_PATIENCE)
    except kubernetes.config.ConfigException:
        return Finding(
            "Trainer",
            "warning",
            "no kubeconfig here, so the cluster could not be asked",
            "only train.launcher=trainjob needs it; set KUBECONFIG",
        )
    except kubernetes.client.ApiException as error:
        remedies = {
            404: f"kubectl apply -k infra/k8s/overlays/{environment.name}, and install Kubeflow Trainer",
            403: "bind the role mmctr-trainer (infra/k8s/base/accounts.yaml)",
        }
        return Finding(
            "Trainer",
            "error",
            f"HTTP {error.status} {error.reason}",
            remedies.get(error.status, "check KUBECONFIG and the cluster"),
        )
    return Finding("Trainer", "ok", f"runtime mmctr is there, TrainJobs of {namespace} can be read")
