"""Settings of the demo's tool: a plain Django admin, as a company would run it behind a gateway.

Everything that differs between machines comes from the environment:

  TOOL_STATE     folder of the database and the secret key; must exist
  TOOL_HOST      the public host with its port, "support.acme.localhost:8443"
  TOOL_NAME      the tool's name in the gateway's config: the `aud` of its assertions
  TOOL_ISSUER    the gateway's `instance`: the `iss` of its assertions; empty: not compared
  TOOL_JWKS      the gateway's public keys: a file, or an https:// address (see gateway.py)
  TOOL_JWKS_CA   CA file for that address
"""
import os
import secrets
from pathlib import Path

import django


def _required(name):
    value = os.environ.get(name, "")
    if not value:
        raise SystemExit(f"the tool needs {name} in its environment; see config/demo/README.md")
    return value


def _secret_key(path):
    """Drawn at the first start, kept for the owner only."""
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(48))
    return path.read_text(encoding="ascii")


STATE = Path(_required("TOOL_STATE"))
PUBLIC_HOST = _required("TOOL_HOST")
GATEWAY_AUDIENCE = os.environ.get("TOOL_NAME", "support")
GATEWAY_ISSUER = os.environ.get("TOOL_ISSUER", "")
GATEWAY_JWKS = _required("TOOL_JWKS")
GATEWAY_JWKS_CA = os.environ.get("TOOL_JWKS_CA", "")

DEBUG = False
SECRET_KEY = _secret_key(STATE / "secret-key")
ALLOWED_HOSTS = [PUBLIC_HOST.rsplit(":", 1)[0]]
ROOT_URLCONF = "support.urls"
WSGI_APPLICATION = "support.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "support",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "support.login.GatewayLoginMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# The only way in: nobody has a password here.
AUTHENTICATION_BACKENDS = ["support.login.GatewayBackend"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": STATE / "tool.sqlite3",
        "OPTIONS": {"timeout": 20},
        "CONN_MAX_AGE": None,
    }
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Behind the gateway: TLS ends there, it says so in X-Forwarded-Proto, and Host is the one the browser sent.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
CSRF_TRUSTED_ORIGINS = [PUBLIC_HOST if django.VERSION < (4, 0) else f"https://{PUBLIC_HOST}"]   # Debian 12 has 3.2, 13 has 4.2

STATIC_URL = "/static/"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"django.request": {"level": "ERROR"}},   # a 403 is an answer, not news
}
