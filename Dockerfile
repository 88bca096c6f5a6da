# The operator and the command line, from the checkout. Any image with Python 3.11 or newer will do as the base:
#   buildah bud --build-arg BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm -t batchwright .
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
# A package index or certificates of one's own; not kept in the image.
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ARG PIP_CERT
ARG SSL_CERT_FILE
ARG UV_VERSION=0.13.9
# Debian's python3 comes without ensurepip.
RUN python3 -c 'import ensurepip' 2>/dev/null \
 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --disable-pip-version-check "uv==${UV_VERSION}"
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
# The package has links to both.
COPY crds crds
COPY docs/benchmarks.json docs/
COPY operator operator
# Exactly the locked packages, without those for development.
RUN UV_PROJECT_ENVIRONMENT=/opt/batchwright /opt/uv/bin/uv sync --locked --no-dev --extra otel --no-editable --no-cache \
      --link-mode copy --python "$(command -v python3)"
# Left out, because nothing in the image uses it:
# - of kubernetes, which reads kubeconfigs only (ADR 0003), the synchronous client, and the generated APIs and objects;
# - of botocore, the descriptions of all services but those that are called, and those that credentials come from;
# - numpy's own tests.
RUN cd /opt/batchwright/lib/python3*/site-packages \
 && rm -r kubernetes/client kubernetes/aio/client/api kubernetes/aio/config/*_test.py \
 && find kubernetes/aio/client/models -name '*.py' ! -name __init__.py -delete \
 && for service in botocore/data/*/; do \
      case "$(basename "$service")" in \
        autoscaling|ec2|eks|pricing|sqs|ssm|signin|sso|sso-oidc|sts) ;; \
        *) rm -r "$service" ;; \
      esac; \
    done \
 && find numpy -name tests -type d -prune -exec rm -r {} +
# Compiled, because the image is read-only when it runs. Unchecked, because in an image a file may bear another time than
# here: Python would then take all of this for stale, and compile it anew at each start.
RUN /opt/batchwright/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/batchwright/lib
# Nothing that was left out is missed.
RUN cd / && PYTHONDONTWRITEBYTECODE=1 /opt/batchwright/bin/python -c "from batchwright.cluster import kubeconfig; \
 kubeconfig.kubeconfig_reader(); import boto3, batchwright.process, opentelemetry.exporter.otlp.proto.http.trace_exporter; \
 [boto3.client(name, region_name='us-east-1') for name in 'autoscaling ec2 eks pricing sqs ssm sts'.split()]"

FROM ${BASE_IMAGE}
COPY --from=build /opt/batchwright /opt/batchwright
# USER and HOME: kopf and the search for a kubeconfig ask who we are, and the user has no entry in /etc/passwd.
ENV PATH=/opt/batchwright/bin:$PATH USER=batchwright HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
# Of a release; empty in other builds.
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="batchwright" \
      org.opencontainers.image.description="AWS Batch's model on any Kubernetes: the operator and the command line" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["/opt/batchwright/bin/batchwright"]
CMD ["operator", "run", "--log-format", "json", "--liveness", "http://0.0.0.0:8080/healthz"]
