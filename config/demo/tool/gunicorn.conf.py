"""gunicorn: loopback only (the gateway is the only client), threads with keep-alive, so that the gateway's connections
are used again. One thread serves one exchange; a slow download holds one."""
import os

bind = f"127.0.0.1:{os.environ.get('TOOL_PORT', '8000')}"
workers = 1
worker_class = "gthread"
threads = 32
keepalive = 75
timeout = 60
graceful_timeout = 2
# The gateway bounds what it sends; gunicorn's own limits stand above those.
limit_request_line = 8190
limit_request_field_size = 32768
loglevel = os.environ.get("TOOL_LOG_LEVEL", "warning")
accesslog = os.environ.get("TOOL_ACCESS_LOG") or None
access_log_format = '%(t)s "%(r)s" %(s)s %(B)s'
