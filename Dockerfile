# Two stages: what builds is not what runs. No shell is needed at run time, no user but 65532, nothing is written.
# Byte code is made here and never checked: the root is read-only, so without it each start would compile anew.
FROM python:3.12-slim AS build
WORKDIR /build
COPY requirements/run.txt .
RUN python -m pip install --no-cache-dir --no-compile --only-binary=:all: --require-hashes --target /app -r run.txt
RUN python -m compileall -q --invalidation-mode unchecked-hash /app
COPY controller /app/controller
RUN python -m compileall -q --invalidation-mode unchecked-hash /app/controller

FROM python:3.12-slim
LABEL org.opencontainers.image.title="runherd" org.opencontainers.image.licenses="Apache-2.0"
RUN ["python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-x", "site-packages|lib2to3|/tests?/", "/usr/local/lib"]
COPY --from=build /app /app
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /app
EXPOSE 8080
ENTRYPOINT ["python", "-m", "controller"]
