# Groundswell in a container: one role each, unprivileged, with nothing in it that only building needs.
#
#   docker build --tag groundswell:0.1.0 .
#
# The embedded servers are not for containers: no Java is in here, so `up` and `demo` do not run.
# docs/deploy.md says how to run it.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What changes seldom goes first. Every package is a wheel with a known hash, so no compiler is needed.
COPY requirements/groundswell.lock requirements/dev.lock requirements/
RUN python -m venv --without-pip /opt/groundswell \
 && pip --python /opt/groundswell/bin/python install --require-hashes --only-binary :all: \
      --requirement requirements/groundswell.lock
# The builder of the wheel is the locked one, too: its lines are taken from the developers' lock.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements/dev.lock > requirements/build.lock \
 && pip install --require-hashes --only-binary :all: --requirement requirements/build.lock

COPY pyproject.toml README.md LICENSE ./
COPY pipeline pipeline
COPY connectors connectors
COPY enrichers enrichers
COPY sinks sinks
COPY testkit testkit
COPY configs configs
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/groundswell/bin/python install --no-deps dist/*.whl

FROM python:${PYTHON}-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Groundswell" \
      org.opencontainers.image.description="Social listening: posts in, enriched, routed and searchable" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"

# A fixed number, so that volumes and Kubernetes can name it. The home is the only place that is written to.
RUN groupadd --gid 10001 groundswell \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/groundswell \
      --shell /usr/sbin/nologin groundswell \
 && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/groundswell
COPY --from=build /opt/groundswell /opt/groundswell
COPY configs/deploy/health.py /opt/groundswell/health.py

ENV PATH=/opt/groundswell/bin:$PATH \
    GROUNDSWELL_HOME=/var/lib/groundswell \
    GROUNDSWELL_HTTP_HOST=0.0.0.0 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/groundswell
VOLUME ["/var/lib/groundswell"]
# The pages of collect, enrich, index and directory. They have no password: publish them to nobody.
EXPOSE 9640 9641 9642 9643
USER 10001:10001
STOPSIGNAL SIGTERM
# Asks every role that runs in the container whether it lives, whatever its port.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
  CMD ["python", "/opt/groundswell/health.py"]
ENTRYPOINT ["groundswell"]
CMD ["run"]
