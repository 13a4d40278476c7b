# The image of the service. `make image-check` builds and checks it; docs/deploying.md says what was tested, and where.
#
#   docker build -t siglip .                                   TensorFlow for the CPU
#   docker build -t siglip:gpu --build-arg FLAVOUR=gpu .       TensorFlow with CUDA; the host provides the driver
#
# For several architectures, labels and attestations, see docs/deploying.md.
#
# A tag can change. To build the same image again later, pin the base image to its current digest:
#   docker buildx imagetools inspect python:3.11-slim
#   docker build --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:... .
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
# cpu or gpu
ARG FLAVOUR=cpu
# true adds OpenTelemetry, which sends traces to the address in the OTEL_EXPORTER_OTLP_* variables
ARG TRACING=false
# true adds imagecodecs, for JPEG XL and rare compressions of TIFF
ARG CODECS=false
# true adds the engine OpenVINO, which is used on a CPU; default: true for FLAVOUR=cpu, false for gpu
ARG OPENVINO=
ENV PATH=/opt/siglip/bin:$PATH
WORKDIR /build
COPY requirements.txt requirements-gpu.txt requirements-codecs.txt requirements-otel.txt requirements-openvino.txt ./
# pip stays outside the environment that is shipped. tensorflow-cpu is half the size, but exists only for x86_64.
# TensorFlow's headers (287 MB) and libclang (62 MB) are removed: only compiling against it needs them.
RUN set -eu; \
    case "$FLAVOUR-$(uname -m)" in \
        cpu-x86_64) sed -i 's/^tensorflow==/tensorflow-cpu==/' requirements.txt; echo '-r requirements.txt' > wanted.txt ;; \
        cpu-*) echo '-r requirements.txt' > wanted.txt ;; \
        gpu-*) echo '-r requirements-gpu.txt' > wanted.txt ;; \
        *) echo "FLAVOUR is cpu or gpu. Received: $FLAVOUR" >&2; exit 1 ;; \
    esac; \
    case "$TRACING" in \
        true) echo '-r requirements-otel.txt' >> wanted.txt ;; \
        false) ;; \
        *) echo "TRACING is true or false. Received: $TRACING" >&2; exit 1 ;; \
    esac; \
    case "$CODECS" in \
        true) echo '-r requirements-codecs.txt' >> wanted.txt ;; \
        false) ;; \
        *) echo "CODECS is true or false. Received: $CODECS" >&2; exit 1 ;; \
    esac; \
    case "${OPENVINO:-$FLAVOUR}" in \
        true|cpu) echo '-r requirements-openvino.txt' >> wanted.txt ;; \
        false|gpu) ;; \
        *) echo "OPENVINO is true or false. Received: $OPENVINO" >&2; exit 1 ;; \
    esac; \
    python -m venv --without-pip /opt/siglip; \
    pip --python /opt/siglip/bin/python install --no-cache-dir --disable-pip-version-check -r wanted.txt; \
    rm -rf /opt/siglip/lib/python3.*/site-packages/tensorflow/include /opt/siglip/lib/python3.*/site-packages/clang
# The list of the shipped packages with their versions and licences (SBOM). The tool stays outside that environment too.
COPY requirements-sbom.txt ./
RUN set -eu; \
    pip install --no-cache-dir --disable-pip-version-check -r requirements-sbom.txt; \
    cyclonedx-py environment --output-reproducible --output-format JSON --output-file sbom.cdx.json /opt/siglip/bin/python
# The code is copied after the packages, so that a change of the code rebuilds in seconds, not minutes.
COPY app app
COPY model model
# On a read-only root file system Python cannot write bytecode. Without bytecode of our code and of the packages (which
# pip compiled), the imports took 6.0 s instead of 3.2 s on two cores.
RUN python -m compileall -q app model

# Weights to include in the image, if any: a name from the README's table, or a hub id. The same code fetches and checks
# them as at the start of the service, and makes OpenVINO's graphs of them, or of the embedded weights.
ARG BAKE_MODEL=
ARG BAKE_WEIGHTS=
RUN set -eu; mkdir -p /data /weights; \
    HF_HOME=/weights SIGLIP_ENGINE_CACHE=/weights/engine \
        python -m app download --prepare ${BAKE_MODEL:+--model "$BAKE_MODEL"} --weights "${BAKE_WEIGHTS:-pictograms_64}"; \
    rm -rf /weights/xet; \
    chmod -R g=u /data /weights

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG BAKE_MODEL=
ARG BAKE_WEIGHTS=
ARG VERSION=
ARG REVISION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="siglip" \
      org.opencontainers.image.description="Zero-shot image classification with SigLIP over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
COPY --from=build /opt/siglip /opt/siglip
# Owned by the user below, so that new volumes mounted here are too; and writable for group 0, which is the group of the
# random user that OpenShift chooses.
COPY --from=build --chown=10001:0 /data /data
COPY --from=build --chown=10001:0 /weights /weights
COPY --from=build /build/app /srv/siglip/app
COPY --from=build /build/model /srv/siglip/model
COPY --from=build /build/sbom.cdx.json /srv/siglip/
COPY LICENSE /srv/siglip/
# Libraries write caches to HOME (Keras its settings, CUDA its kernels); a tmpfs is enough. An empty setting counts as
# not set. If the image contains weights, they are served, and the hub is not asked for newer ones.
ENV PATH=/opt/siglip/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    HF_HOME=/weights \
    HF_HUB_OFFLINE=${BAKE_WEIGHTS:+1} \
    SIGLIP_HOST=0.0.0.0 \
    SIGLIP_LOG_FORMAT=json \
    SIGLIP_DATA_DIR=/data \
    SIGLIP_ENGINE_CACHE=/weights/engine \
    SIGLIP_MODEL=${BAKE_MODEL} \
    SIGLIP_WEIGHTS=${BAKE_WEIGHTS}
WORKDIR /srv/siglip
# A number, so that Kubernetes can check that it is not root.
USER 10001:10001
EXPOSE 8000
# The start may download gigabytes. Failures count only after start-period.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m --retries=3 CMD ["python", "-m", "app.healthcheck"]
# Exec form: the server is PID 1 and gets SIGTERM itself. `docker run siglip verify ...` runs the other commands.
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
