# The service as an image. `make image-check` builds and tries it; docs/deploying.md says what was tried, and where.
#
#   docker build -t siglip .                                   TensorFlow for the CPU
#   docker build -t siglip:gpu --build-arg FLAVOUR=gpu .       TensorFlow with CUDA; the driver is the host's
#
# A tag moves. To build the same image tomorrow, name the base by what the tag points at today:
#   docker buildx imagetools inspect python:3.11-slim
#   docker build --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:... .
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
# cpu or gpu
ARG FLAVOUR=cpu
# true adds OpenTelemetry, which sends traces where the OTEL_EXPORTER_OTLP_* variables say
ARG TRACING=false
# true adds the engine OpenVINO, for whom SIGLIP_ENGINE=openvino is
ARG OPENVINO=false
ENV PATH=/opt/siglip/bin:$PATH
WORKDIR /build
COPY requirements.txt requirements-gpu.txt requirements-otel.txt requirements-openvino.txt ./
# pip stays outside of the environment that is shipped. tensorflow-cpu is half the size, and exists for x86_64 only.
# TensorFlow's headers (287 MB) and libclang (62 MB) are for who compiles against it.
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
    case "$OPENVINO" in \
        true) echo '-r requirements-openvino.txt' >> wanted.txt ;; \
        false) ;; \
        *) echo "OPENVINO is true or false. Received: $OPENVINO" >&2; exit 1 ;; \
    esac; \
    python -m venv --without-pip /opt/siglip; \
    pip --python /opt/siglip/bin/python install --no-cache-dir --disable-pip-version-check -r wanted.txt; \
    rm -rf /opt/siglip/lib/python3.*/site-packages/tensorflow/include /opt/siglip/lib/python3.*/site-packages/clang
# The code after the packages: a change of it rebuilds seconds, not minutes.
COPY app app
COPY model model
# Nobody can write bytecode where the root is read-only, and without any, ours and the packages' (pip has compiled
# those), importing took 6.0 s in place of 3.2 s on two cores.
RUN python -m compileall -q app model

# The weights to ship inside, if any: a name of the README's table, or a hub id. Fetched and checked by the code that
# would do it at the start.
ARG BAKE_MODEL=
ARG BAKE_WEIGHTS=
RUN set -eu; mkdir -p /data /weights; \
    [ -z "$BAKE_WEIGHTS" ] || HF_HOME=/weights python -m app download ${BAKE_MODEL:+--model "$BAKE_MODEL"} --weights "$BAKE_WEIGHTS"; \
    rm -rf /weights/xet

FROM ${PYTHON_IMAGE}
ARG BAKE_MODEL=
ARG BAKE_WEIGHTS=
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="siglip" \
      org.opencontainers.image.description="Zero-shot image classification with SigLIP over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/siglip /opt/siglip
# Of the user below, so that a fresh volume mounted here is theirs too.
COPY --from=build --chown=10001:10001 /data /data
COPY --from=build --chown=10001:10001 /weights /weights
COPY --from=build /build/app /srv/siglip/app
COPY --from=build /build/model /srv/siglip/model
COPY LICENSE /srv/siglip/
# HOME is where libraries put what they would like to keep (Keras its settings, CUDA its kernels): a tmpfs will do.
# An empty setting is no setting; baked weights are served, and nobody is asked for newer ones.
ENV PATH=/opt/siglip/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    HF_HOME=/weights \
    HF_HUB_OFFLINE=${BAKE_WEIGHTS:+1} \
    SIGLIP_HOST=0.0.0.0 \
    SIGLIP_LOG_FORMAT=json \
    SIGLIP_DATA_DIR=/data \
    SIGLIP_ENGINE_CACHE=/data/engine \
    SIGLIP_MODEL=${BAKE_MODEL} \
    SIGLIP_WEIGHTS=${BAKE_WEIGHTS}
WORKDIR /srv/siglip
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
# The start may be a download of gigabytes; its failures count only after start-period.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m --retries=3 CMD ["python", "-m", "app.healthcheck"]
# Exec form: the server is PID 1 and gets SIGTERM itself. `docker run siglip verify ...` runs the other commands.
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
