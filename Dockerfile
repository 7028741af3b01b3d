# One image for every process; docker-compose.yml says which one a container runs.
FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt /tmp/
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 AUTOTRADER_STATE_DIR=/state AUTOTRADER_ENV_FILE=none
RUN useradd --create-home --uid 1000 autotrader && install -d -o autotrader /state
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY manage.py ./
COPY autotrader autotrader
COPY broker broker
COPY research research
COPY trading trading
COPY templates templates
RUN python -m compileall -q autotrader broker research trading
USER autotrader
VOLUME /state
# Without compose: everything in one container, on SQLite and the embedded gateway.
ENV AUTOTRADER_BIND=0.0.0.0:8000
EXPOSE 8000
CMD ["python", "manage.py", "up"]
