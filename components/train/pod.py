"""What a pod of a TrainJob runs: `python -m components.train.pod --job FOLDER`.

It is torchrun, whose own exit code is 1 whatever happened. This one ends as its processes did, so that the training
runtime (infra/k8s/cluster/training.yaml) can tell a failure that only a person can mend from one that a restart mends:

- Kubernetes' pod failure policy makes the Job fail with the reason PodFailurePolicy when the container `node` exits
  with 2. It applies only to pods with restartPolicy: Never; JobSet would set OnFailure (JobSet 0.12.0,
  pkg/webhooks/jobset_webhook.go:125), and Kubeflow Trainer 2.3.0 sets nothing
  (pkg/runtime/framework/plugins/jobset/builder.go).
- JobSet's failure policy ends all of it for that reason, and restarts it for any other (JobSet 0.12.0,
  pkg/controllers/failure_policy.go:47-80). The first Job that failed decides, and all our pods are one Job.
"""

import sys
import time

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from components.train.worker import LOST_THE_OTHERS, NEEDS_A_PERSON

# Seconds that a pod without a cause waits before it ends. The pod that knows the cause ends in the same moment, and the
# one that Kubernetes hears of first decides whether the job is restarted.
LEAVE_LAST = 10.0


def main(arguments: list[str]) -> int:
    try:
        torchrun(["-m", "components.train.worker", *arguments])
    except ChildFailedError as failed:
        codes = {failure.exitcode for failure in failed.failures.values()}
        if NEEDS_A_PERSON in codes:
            return NEEDS_A_PERSON
        if codes == {LOST_THE_OTHERS}:
            time.sleep(LEAVE_LAST)
            return LOST_THE_OTHERS
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
