"""BatchJobs that must be refused; retryStrategy and timeout are those of JobDefinition too."""

from __future__ import annotations

import pytest

from crd_cases import asks, bj, env, named, retry, without

REFUSED = [
    pytest.param(named(bj(), "n" * 129), "metadata.name", "at most 128 characters", id="bj-long-name"),
    pytest.param(bj() | {"spec": None}, "spec", "", id="bj-no-spec"),
    pytest.param(without(bj(), "jobQueue"), "spec.jobQueue", "Required value", id="bj-no-queue"),
    pytest.param(without(bj(), "jobDefinition"), "spec.jobDefinition", "Required value", id="bj-no-definition"),
    pytest.param(bj(jobQueue="My_Queue"), "spec.jobQueue", "must be the name of an object", id="bj-queue-form"),
    pytest.param(bj(jobQueue="a..b"), "spec.jobQueue", "must be the name of an object", id="bj-queue-dots"),
    pytest.param(bj(jobQueue=""), "spec.jobQueue", "at least 1", id="bj-queue-empty"),
    pytest.param(bj(jobQueue="n" * 129), "spec.jobQueue", "128", id="bj-queue-long"),
    pytest.param(bj(jobQueue=7), "spec.jobQueue", "must be of type string", id="bj-queue-number"),
    pytest.param(bj(jobDefinition="hello:0"), "spec.jobDefinition", "'name:revision'", id="bj-revision-0"),
    pytest.param(bj(jobDefinition="hello:x"), "spec.jobDefinition", "'name:revision'", id="bj-revision-word"),
    pytest.param(bj(jobDefinition="hello:1234567890"), "spec.jobDefinition", "'name:revision'", id="bj-revision-big"),
    pytest.param(
        bj(jobDefinition="arn:aws:batch:eu-west-1:1:job-definition/h:1"),
        "spec.jobDefinition",
        "an ARN is not taken",
        id="bj-definition-arn",
    ),
    pytest.param(bj(dependsOn=[{}]), "spec.dependsOn[0]", "exactly one of name and jobId", id="bj-needs-nothing"),
    pytest.param(
        bj(dependsOn=[{"name": "a"}, {"name": "b", "jobId": "u"}]),
        "spec.dependsOn[1]",
        "exactly one of name and jobId",
        id="bj-needs-both",
    ),
    pytest.param(bj(dependsOn=[{"name": "A_"}]), "spec.dependsOn[0].name", "name of an object", id="bj-needs-form"),
    pytest.param(bj(dependsOn=[{"jobId": "u" * 65}]), "spec.dependsOn[0].jobId", "64", id="bj-job-id-long"),
    pytest.param(bj(dependsOn=[{"jobId": ""}]), "spec.dependsOn[0].jobId", "at least 1", id="bj-job-id-empty"),
    pytest.param(bj(dependsOn=[{"name": f"j{n}"} for n in range(501)]), "spec.dependsOn", "500", id="bj-needs-501"),
    pytest.param(bj(parameters={f"p{n}": "" for n in range(257)}), "spec.parameters", "256", id="bj-parameters-257"),
    pytest.param(bj(parameters={"": "x"}), "spec.parameters", "1 to 256 characters", id="bj-parameter-empty"),
    pytest.param(bj(parameters={"k" * 257: "x"}), "spec.parameters", "1 to 256 characters", id="bj-parameter-long"),
    pytest.param(bj(parameters={"k": "v" * 8193}), "spec.parameters.k", "8192", id="bj-parameter-value"),
    pytest.param(bj(parameters={"k": 1}), "spec.parameters.k", "must be of type string", id="bj-parameter-number"),
    pytest.param(bj(tags={f"t{n}": "" for n in range(51)}), "spec.tags", "50", id="bj-tags-51"),
    pytest.param(bj(tags={"k" * 129: ""}), "spec.tags", "1 to 128 characters", id="bj-tag-key"),
    pytest.param(bj(tags={"k": "v" * 257}), "spec.tags.k", "256", id="bj-tag-value"),
    pytest.param(bj(propagateTags="yes"), "spec.propagateTags", "must be of type boolean", id="bj-propagate-word"),
    pytest.param(bj(terminate={}), "spec.terminate.reason", "Required value", id="bj-terminate-no-reason"),
    pytest.param(bj(terminate={"reason": ""}), "spec.terminate.reason", "at least 1", id="bj-terminate-empty"),
    pytest.param(bj(cancel={"reason": "r" * 1025}), "spec.cancel.reason", "1024", id="bj-cancel-long"),
    pytest.param(
        bj(containerOverrides={"environment": env("AWS_BATCH_JOB_ID")}),
        "spec.containerOverrides.environment[0].name",
        "reserved for Batchwright",
        id="bj-env-reserved",
    ),
    pytest.param(
        bj(containerOverrides={"resourceRequirements": asks(VCPU="two")}),
        "spec.containerOverrides.resourceRequirements[0].value",
        "a VCPU value is a decimal number",
        id="bj-vcpu-word",
    ),
    pytest.param(
        bj(containerOverrides={"command": ["x"] * 1025}),
        "spec.containerOverrides.command",
        "1024",
        id="bj-command-1025",
    ),
    pytest.param(
        bj(containerOverrides={"command": ["x" * 32769]}),
        "spec.containerOverrides.command[0]",
        "32768",
        id="bj-argument-long",
    ),
    # retryStrategy and timeout, the same in both kinds
    pytest.param(bj(retryStrategy={"attempts": 0}), "spec.retryStrategy.attempts", "1", id="retry-0"),
    pytest.param(bj(retryStrategy={"attempts": 11}), "spec.retryStrategy.attempts", "10", id="retry-11"),
    pytest.param(bj(retryStrategy={"attempts": 1.5}), "spec.retryStrategy.attempts", "integer", id="retry-fraction"),
    pytest.param(
        bj(retryStrategy={"evaluateOnExit": [{"action": "EXIT", "onExitCode": "1"}]}),
        "spec.retryStrategy.attempts",
        "attempts must be given with evaluateOnExit",
        id="retry-rules-alone",
    ),
    pytest.param(
        bj(
            retryStrategy={
                "attempts": 2,
                "evaluateOnExit": [{"action": "EXIT", "onExitCode": str(n)} for n in range(6)],
            }
        ),
        "spec.retryStrategy.evaluateOnExit",
        "5",
        id="retry-6-rules",
    ),
    pytest.param(
        bj(retryStrategy={"attempts": 2, "evaluateOnExit": [{"action": "EXIT"}]}),
        "spec.retryStrategy.evaluateOnExit[0]",
        "give at least one of onExitCode, onReason, onStatusReason",
        id="retry-rule-without-pattern",
    ),
    pytest.param(
        bj(retryStrategy={"attempts": 2, "evaluateOnExit": [{"onExitCode": "1"}]}),
        "spec.retryStrategy.evaluateOnExit[0].action",
        "Required value",
        id="retry-rule-without-action",
    ),
    pytest.param(
        bj(retryStrategy={"attempts": 2, "evaluateOnExit": [{"onExitCode": "1", "action": "AGAIN"}]}),
        "spec.retryStrategy.evaluateOnExit[0].action",
        "supported values",
        id="retry-action",
    ),
    *(
        pytest.param(
            bj(retryStrategy=retry(**{pattern: text})),
            f"spec.retryStrategy.evaluateOnExit[0].{pattern}",
            want,
            id=f"retry-{pattern}-{case}",
        )
        for pattern, text, want, case in [
            ("onExitCode", "1*3", "a * elsewhere is not allowed", "inner-star"),
            ("onExitCode", "**", "a * elsewhere is not allowed", "two-stars"),
            ("onExitCode", "one", "an exit code in digits", "word"),
            ("onExitCode", "-1", "an exit code in digits", "negative"),
            ("onExitCode", "1" * 513, "512", "long"),
            ("onReason", "*Killed", "a * elsewhere is not allowed", "star-first"),
            ("onReason", "a(b)", "letters, digits", "bracket"),
            ("onStatusReason", "Host EC2*x", "a * elsewhere is not allowed", "inner-star"),
        ]
    ),
    pytest.param(bj(timeout={}), "spec.timeout.attemptDurationSeconds", "Required value", id="timeout-empty"),
    pytest.param(bj(timeout={"attemptDurationSeconds": 0}), "spec.timeout.attemptDurationSeconds", "1", id="timeout-0"),
    pytest.param(
        bj(timeout={"attemptDurationSeconds": 31536001}),
        "spec.timeout.attemptDurationSeconds",
        "31536000",
        id="timeout-above-a-year",
    ),
    pytest.param(bj(dependsOn=[{"name": "case"}]), "spec.dependsOn", "cannot depend on itself", id="bj-needs-itself"),
]
