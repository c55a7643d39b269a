# The tool in an image of its own. Build it in a checkout:
#
#   docker build -t sketch-migrate .
#   docker run --rm -v "$PWD:/work" -e SKETCH_DB_USER -e SKETCH_DB_PASS sketch-migrate plan
#
# It runs as a user without rights, in /work: settings are read there (sketch-migrate.toml), and runs left (RUN_DIR).
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements/build.txt requirements/run.txt requirements/
RUN python -m venv /opt/sketch-migrate \
 && python -m pip install --no-cache-dir --require-hashes -r requirements/build.txt \
 && /opt/sketch-migrate/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY docs/man docs/man
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/sketch-migrate/bin/pip install --no-cache-dir --no-deps dist/*.whl

FROM python:3.13-slim
COPY --from=build /opt/sketch-migrate /opt/sketch-migrate
ENV PATH=/opt/sketch-migrate/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --create-home sketch && mkdir /work && chown sketch /work
USER 10001
WORKDIR /work
ENTRYPOINT ["sketch-migrate"]
CMD ["--help"]
