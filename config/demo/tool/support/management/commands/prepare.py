"""manage.py prepare: the database, filled, if it is not there yet. Run before the server, at every start."""
from django.core.management import BaseCommand, call_command
from django.db import connection, transaction

from support import seed
from support.models import Customer


class Command(BaseCommand):
    help = "Make the tool's database and fill it with the demo's data, unless that was done before."

    def handle(self, *args, **options):
        call_command("migrate", run_syncdb=True, verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")   # readers do not wait for a login's write
        if Customer.objects.exists():
            return
        with transaction.atomic():
            counts = seed.fill()
        self.stdout.write(", ".join(f"{count} {name}" for name, count in counts.items()))
