"""What gunicorn runs. Static files come from Django's own finder: one process serves the whole tool."""
import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "support.settings")
application = StaticFilesHandler(get_wsgi_application())
