"""The pipeline as the file that Kubeflow Pipelines takes.

Without an environment it is the bare pipeline, with image names for placeholders. With one, every step gets an image by
digest, resources, limits, retries and secrets by reference. The same input gives the same bytes.

KFP's own step cache is switched off: every step carries the run's id, so a cached step would leave no trace in the new
MLflow run, and the cache key contains only the names of artifacts. Expensive steps cache by content instead: `embed` by
item and encoder, `train` by data, config and its own source files. MMCTR_CODE_VERSION, the image's digest, is set here
for the lineage and for the question whether the code has changed since the champion.
"""

from typing import Any, TypeAlias

import yaml
from google.protobuf import json_format
from kfp.dsl.base_component import BaseComponent
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as ir

from components import ops
from components.errors import StepError
from components.harness import MINUTES_VARIABLE
from components.ops import CPU_IMAGE, GPU_IMAGE
from pipelines.access import GIT_STEPS, pull_secrets
from pipelines.environment import Environment, Images, SecretVariable, StepResources

CODE_VERSION_VARIABLE = "MMCTR_CODE_VERSION"
PENDING_SECONDS = 3600  # a try may wait that long for a node, an image, a volume
# Not app.kubernetes.io/part-of, which Kubeflow's own network policies select by (kubeflow/manifests 1.11.0,
# common/networkpolicies/base/ml-pipeline.yaml:20).
OURS = {"mmctr.io/owned": "true"}
SCRATCH = "/scratch"  # the image's TMPDIR and HOME: the one place, besides its outputs, that a step writes to

Container: TypeAlias = Any  # ir.PipelineDeploymentConfig.PipelineContainerSpec; generated code has no types


def compile_pipeline(pipeline: Any, environment: Environment | None = None) -> str:
    """The pipeline's definition as YAML: for `environment`, or bare."""
    spec, platform = ir.PipelineSpec(), ir.PlatformSpec()
    spec.CopyFrom(pipeline.pipeline_spec)
    platform.CopyFrom(pipeline.platform_spec)
    tasks = _executors(spec)
    _switch_cache_off(spec)
    if environment is not None:
        _refuse_unbuilt(environment.images)
        _refuse_unknown_steps(environment)
        _apply(environment, spec, platform, tasks)
    documents = [json_format.MessageToDict(spec)]
    if platform.platforms:
        documents.append(json_format.MessageToDict(platform))
    return str(yaml.dump_all(documents, Dumper=_ReadableDumper, sort_keys=True, width=120))


class _ReadableDumper(yaml.CSafeDumper):
    """Texts of several lines, above all the steps' sources, are written line by line: a diff then shows a diff."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_ReadableDumper.add_representer(str, _ReadableDumper.represent_str)


def _refuse_unbuilt(images: Images) -> None:
    unbuilt = images.unbuilt()
    if unbuilt:
        raise StepError(
            f"images.{unbuilt[0]} still has the all-zero digest: run `make images`, push them, and give "
            "`--images dist/images.json`, or write the digests into the environment"
        )


def _refuse_unknown_steps(environment: Environment) -> None:
    """An environment serves all pipelines, so it may name the steps of any."""
    steps = {step.name for step in vars(ops).values() if isinstance(step, BaseComponent)}
    for group in environment.resources:
        for step in group.steps:
            if step not in steps:
                raise StepError(
                    f"environment {environment.name!r}: resources name the step {step!r}, which no pipeline has; "
                    f"there are {', '.join(sorted(steps))}"
                )


def _apply(environment: Environment, spec: ir.PipelineSpec, platform: ir.PlatformSpec, tasks: dict[str, str]) -> None:
    deployment = ir.PipelineDeploymentConfig()
    json_format.ParseDict(json_format.MessageToDict(spec.deployment_spec), deployment)
    target = platform.platforms["kubernetes"]
    for label, step in sorted(tasks.items()):
        resources = environment.resources_of(step)
        _fill_container(deployment.executors[label].container, environment, resources, step)
        settings = _pod_settings(environment, resources, step)
        target.deployment_spec.executors[label].update(json_format.MessageToDict(settings))
    spec.deployment_spec.Clear()
    spec.deployment_spec.update(json_format.MessageToDict(deployment))
    target.pipelineConfig.active_deadline_seconds = environment.run_timeout_hours * 3600
    # The controller's defaults hold for each of the three that is not said here, and the narrower ones win: Argo
    # Workflows 4.0.5, workflow/gccontroller/gc_controller.go:263-273. Kubeflow ships them as one hour.
    for outcome in ("completion", "success", "failure"):
        setattr(target.pipelineConfig, f"resource_ttl_on_{outcome}", environment.keep_days * 86_400)
    for dag in _dags(spec):
        for task in dag.tasks.values():
            label = spec.components[task.component_ref.name].executor_label
            if label:
                _set_retries(task, environment, environment.resources_of(tasks[label]))


def _fill_container(container: Container, environment: Environment, resources: StepResources, step: str) -> None:
    images = {CPU_IMAGE: environment.images.cpu, GPU_IMAGE: environment.images.gpu}
    if container.image not in images:
        raise StepError(f"the image {container.image!r} is no placeholder; ops use {', '.join(images)}")
    container.image = images[container.image]
    container.resources.resource_cpu_limit = resources.cpu
    container.resources.resource_cpu_request = resources.cpu_request or resources.cpu
    for name in ("memory_limit", "memory_request"):
        setattr(container.resources, f"resource_{name}", resources.memory)
    if resources.gpus:
        container.resources.accelerator.resource_type = resources.accelerator
        container.resources.accelerator.resource_count = str(resources.gpus)
    variables = {variable.name: variable.value for variable in environment.variables}
    if environment.certificates:
        variables |= environment.certificates.variables()
    if environment.git and step in GIT_STEPS:
        variables |= environment.git.variables()
    for name, value in variables.items():
        container.env.add(name=name, value=value)
    container.env.add(name=MINUTES_VARIABLE, value=str(resources.timeout_minutes))
    container.env.add(name=CODE_VERSION_VARIABLE, value=container.image.partition("@")[2])


def _pod_settings(environment: Environment, resources: StepResources, step: str) -> kubernetes.KubernetesExecutorConfig:
    settings = kubernetes.KubernetesExecutorConfig(
        active_deadline_seconds=resources.timeout_minutes * 60,
        image_pull_policy="IfNotPresent",
        secret_as_env=[_secret(secret) for secret in environment.secrets],
        security_context=kubernetes.SecurityContext(
            run_as_user=environment.user_id, run_as_group=environment.user_id, run_as_non_root=True
        ),
        empty_dir_mounts=[
            kubernetes.EmptyDirMount(volume_name="scratch", mount_path=SCRATCH, size_limit=environment.scratch_size)
        ],
        image_pull_secret=pull_secrets(environment.image_pull_secrets),
        pod_metadata=kubernetes.PodMetadata(labels=OURS),
    )
    if resources.gpus:
        # Data loaders and NCCL share memory, and a container's default is 64 MB. The protocol's own field for it,
        # enabled_shared_memory, is read nowhere in the backend of Kubeflow Pipelines 2.17.0; empty_dir_mounts is, in
        # backend/src/v2/driver/k8s.go:589-615.
        settings.empty_dir_mounts.add(
            volume_name="shm", mount_path="/dev/shm", medium="Memory", size_limit=environment.shared_memory_size
        )
    if environment.git and step in GIT_STEPS:
        settings.secret_as_volume.append(environment.git.mount())
    if environment.certificates:
        settings.config_map_as_volume.append(environment.certificates.mount())
    if resources.node_selector:
        settings.node_selector.labels.update({label.key: label.value for label in resources.node_selector})
    for toleration in resources.tolerations:
        exact = toleration.value is not None
        settings.tolerations.add(
            key=toleration.key,
            operator="Equal" if exact else "Exists",
            value=toleration.value or "",
            effect=toleration.effect,
        )
    for volume in environment.volumes:
        mount = settings.pvc_mount.add(mount_path=volume.path, constant=volume.claim)
        mount.pvc_name_parameter.runtime_value.constant.string_value = volume.claim
    return settings


def _secret(secret: SecretVariable) -> Any:
    key = kubernetes.SecretAsEnv.SecretKeyToEnvMap(secret_key=secret.key, env_var=secret.variable)
    reference = kubernetes.SecretAsEnv(key_to_env=[key], optional=secret.optional)
    reference.secret_name_parameter.runtime_value.constant.string_value = secret.secret
    return reference


def _set_retries(task: ir.PipelineTaskSpec, environment: Environment, resources: StepResources) -> None:
    """Sets the retries. The protocol's longest back-off is in fact the time for all tries together.

    Argo counts it from the first try's start, gives up after it, and gives every later try its end as a deadline: Argo
    Workflows 4.0.5, workflow/controller/operator.go:1026-1095. Left out, Kubeflow makes it 0: Kubeflow Pipelines
    2.17.0, backend/src/v2/compiler/argocompiler/container.go:410.
    """
    if not resources.retries:
        return
    backoff, tries = environment.backoff, resources.retries + 1
    window = tries * (resources.timeout_minutes * 60 + PENDING_SECONDS) + backoff.total(resources.retries)
    task.retry_policy.max_retry_count = resources.retries
    task.retry_policy.backoff_duration.seconds = backoff.seconds
    task.retry_policy.backoff_factor = backoff.factor
    task.retry_policy.backoff_max_duration.seconds = window


def _switch_cache_off(spec: ir.PipelineSpec) -> None:
    for dag in _dags(spec):
        for task in dag.tasks.values():
            task.ClearField("caching_options")
            task.caching_options.enable_cache = False


def _dags(spec: ir.PipelineSpec) -> list[ir.DagSpec]:
    return [spec.root.dag, *(component.dag for component in spec.components.values() if component.HasField("dag"))]


def _executors(spec: ir.PipelineSpec) -> dict[str, str]:
    """Which step each executor belongs to: {"exec-train": "train"}."""
    return {
        component.executor_label: name.removeprefix("comp-")
        for name, component in spec.components.items()
        if component.executor_label
    }


def parameters_of(pipeline: Any) -> set[str]:
    """The names of the parameters that a run of the pipeline takes."""
    return set(pipeline.pipeline_spec.root.input_definitions.parameters)
