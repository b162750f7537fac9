"""How the steps reach what is private: the image registry, the git server, servers with certificates of a private CA.

An environment names Kubernetes secrets and config maps; the values are never seen here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes

from model.checks import one_of

GIT_FOLDER, CERTIFICATE_FOLDER = "/etc/mmctr/git", "/etc/mmctr/certificates"
GIT_STEPS = ("ingest",)  # the only ones that talk to the git server
# Python's ssl, requests (MLflow), boto3, git: each looks elsewhere.
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO")
_NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
_FILE = re.compile(r"^[A-Za-z0-9._-]+$")


def check_name(field: str, value: str, kind: str) -> None:
    if not _NAME.match(value):
        raise ValueError(f"{field} = {value!r}: must be the name of a Kubernetes {kind}")


@dataclass(frozen=True)
class Git:
    """The secret that opens the git server.

    `password`: keys `username` and `password` (a token), as in the type kubernetes.io/basic-auth.
    `key`: keys `ssh-privatekey` (a deploy key) and `known_hosts`, as in the type kubernetes.io/ssh-auth.
    """

    secret: str  # name of the Kubernetes secret
    kind: Literal["password", "key"] = "password"  # what the secret holds

    def __post_init__(self) -> None:
        check_name("git.secret", self.secret, "secret")
        one_of("git.kind", self.kind, get_args(Literal["password", "key"]))

    def variables(self) -> dict[str, str]:
        if self.kind == "key":
            options = f"-i {GIT_FOLDER}/ssh-privatekey -o UserKnownHostsFile={GIT_FOLDER}/known_hosts"
            return {"GIT_SSH_COMMAND": f"ssh {options} -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes"}
        read = "".join(f'echo "{key}=$(cat {GIT_FOLDER}/{key})"; ' for key in ("username", "password"))
        helper = f'!f() {{ test "$1" = get || return 0; {read}}}; f'
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "credential.helper",
            "GIT_CONFIG_VALUE_0": helper,
            "GIT_TERMINAL_PROMPT": "0",
        }

    def mount(self) -> kubernetes.SecretAsVolume:
        mounted = kubernetes.SecretAsVolume(mount_path=GIT_FOLDER)
        mounted.secret_name_parameter.runtime_value.constant.string_value = self.secret
        return mounted


@dataclass(frozen=True)
class Certificates:
    """A config map with one file that holds every certificate authority to trust, the public ones too if needed."""

    config_map: str  # name of the Kubernetes config map
    file: str = "ca.crt"  # key in it that holds the certificates (PEM)

    def __post_init__(self) -> None:
        check_name("certificates.config_map", self.config_map, "config map")
        if not _FILE.match(self.file):
            raise ValueError(f"certificates.file = {self.file!r}: must be a key of the config map, such as ca.crt")

    def variables(self) -> dict[str, str]:
        return dict.fromkeys(_CERTIFICATE_VARIABLES, f"{CERTIFICATE_FOLDER}/{self.file}")

    def mount(self) -> kubernetes.ConfigMapAsVolume:
        mounted = kubernetes.ConfigMapAsVolume(mount_path=CERTIFICATE_FOLDER)
        mounted.config_map_name_parameter.runtime_value.constant.string_value = self.config_map
        return mounted


def pull_secrets(names: tuple[str, ...]) -> Iterator[kubernetes.ImagePullSecret]:
    for name in names:
        secret = kubernetes.ImagePullSecret()
        secret.secret_name_parameter.runtime_value.constant.string_value = name
        yield secret
