# From the wheel and the lock; without root, and without a shell at run time. docs/operations/container.md says how to run it.
# Name the base by its digest where images are released: --build-arg BASE=python@sha256:... (docs/operations/container.md).
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS build
WORKDIR /build
RUN python3 -m venv /opt/cds-hooks
# The same packages compile to the same files: sets in a fixed order, and by the content of a source, not by its time.
ENV PATH=/opt/cds-hooks/bin:$PATH \
    PYTHONHASHSEED=0
COPY requirements/runtime.txt requirements/
RUN pip install --no-compile --no-cache-dir --only-binary :all: --require-hashes --requirement requirements/runtime.txt
COPY . .
# What only installs and builds goes again: nothing in the image can bring a package into the environment.
RUN pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /dist . \
    && pip install --no-compile --no-cache-dir --no-index --no-deps /dist/*.whl \
    && pip uninstall --yes --quiet setuptools wheel pip \
    && find /opt/cds-hooks -name __pycache__ -prune -exec rm -r {} + \
    && python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash /opt/cds-hooks/lib \
    && cds-hooks rules check

FROM ${BASE}
COPY --from=build /opt/cds-hooks /opt/cds-hooks
# The one folder that is written to: a volume goes here, everything else can be read-only.
WORKDIR /var/lib/cds-hooks
RUN chown 10001:10001 /var/lib/cds-hooks
USER 10001:10001
ENV PATH=/opt/cds-hooks/bin:$PATH \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/cds-hooks
EXPOSE 8085
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["/opt/cds-hooks/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8085/readyz', timeout=2)"]
ENTRYPOINT ["/opt/cds-hooks/bin/cds-hooks"]
CMD ["serve", "--port", "8085"]
