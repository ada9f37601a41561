# One image for web, worker, beat and migrations; docker-compose.yml says what each runs.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements/app.txt /tmp/app.txt
RUN /opt/venv/bin/pip install --require-hashes --no-deps -r /tmp/app.txt

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENV MEDIA_ROOT=/data/media STATIC_ROOT=/app/staticfiles
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin broadside \
    && mkdir -p /data/media /data/beat && chown -R broadside:broadside /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY manage.py ./
COPY config config
COPY accounts accounts
COPY connections connections
COPY publishing publishing
COPY templates templates
COPY static static
# The code is read by an account that does not own it, whatever the modes of the folder that it was copied from.
RUN chmod -R a+rX .
# Collecting needs settings but no secret: this one is for this line alone and stays nowhere.
RUN SECRET_KEY=collectstatic DATABASE_URL=postgres://none@127.0.0.1/none python manage.py collectstatic --no-input -v0
USER broadside
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=8)"]
CMD ["gunicorn", "-c", "config/gunicorn.py", "config.wsgi"]
