# All of this on a CPU, by the commands of README.md.  It is linted, and its steps are run by hand on Debian 12; the image
# itself was never built.
#   docker build -t dualmode .
#   docker run --rm dualmode dualmode transcribe egs/mini/demo/sparse.dmdl egs/mini/demo/temperature.wav
#   docker run --rm -v "$PWD/work:/work" dualmode ./run.sh --work-dir /work
FROM debian:12-slim
# Debian's archive has one version of each package, so that a pinned one would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates g++ git python3-venv \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/dualmode
COPY . .
RUN python3 runtime/dualmode_runtime/build.py \
  && runtime/dualmode_runtime/built/dualmode-device egs/mini/demo/sparse.dmdl egs/mini/demo/temperature.wav
RUN bash tools/setup.sh && rm -rf /root/.cache
ENV PATH=/opt/dualmode/tools/venv/bin:$PATH
CMD ["dualmode", "--help"]
