#!/usr/bin/python3
"""Django's own command line for the demo's tool; `manage.py prepare` makes the database."""
import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "support.settings")
    execute_from_command_line(sys.argv)
