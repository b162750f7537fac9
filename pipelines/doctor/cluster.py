"""What the machine that submits can see of an environment's cluster: the images' digests, and Kubeflow Pipelines."""

from pipelines.doctor.finding import Finding
from pipelines.environment import Environment


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
        found = "multi-user" if kubeflow.multi_user() else "single-user"
        kubeflow.may_list()
    except Exception as error:  # noqa: BLE001 (kfp raises many kinds; all mean that runs can't be sent)
        return Finding(
            "Pipelines",
            "error",
            " ".join(str(error).split())[:200],
            f"is {service.host} forwarded, does MMCTR_KFP_TOKEN_FILE name a fresh token, may its account use "
            f"{service.namespace}?",
        )
    if found != service.mode:
        return Finding(
            "Pipelines",
            "error",
            f"{service.host} is a {found} installation, the environment is for a {service.mode} one",
            f"set service.mode: {found}, and the service.namespace that docs/how-to/kubeflow.md names for it",
        )
    return Finding("Pipelines", "ok", f"{service.host}, {found}, lets us into {service.namespace}")
