from django.db import migrations

from accounts.row_security import protect

TABLES = ("video", "post", "photo", "delivery", "attempt", "workspacequota", "storagereservation")


class Migration(migrations.Migration):
    dependencies = [("publishing", "0004_scans_and_quotas"), ("accounts", "0006_row_security")]

    operations = [protect(f"publishing_{table}") for table in TABLES]
